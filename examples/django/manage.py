#!/usr/bin/env python
"""Django's command line. `runserver` prepares the database first, however many copies start at once."""

import os
import sys


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise ImportError(
            "Django is not installed in this Python: pip install -r requirements.txt"
        ) from error
    if sys.argv[1:2] == ["runserver"]:
        from mysite.database import prepare

        prepare()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
