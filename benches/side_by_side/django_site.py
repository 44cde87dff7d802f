"""A Django of one view. Its middleware is what gives an answer its length, without which runserver closes the connection."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import re_path

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="of no use to anybody",
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


def page(_request):
    return HttpResponse(b"x" * 100)


urlpatterns = [re_path("", page)]

if __name__ == "__main__":
    execute_from_command_line(["site", "runserver", "--noreload", f"127.0.0.1:{sys.argv[1]}"])
