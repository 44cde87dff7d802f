"""Makes the database ready at the first start, so that nobody has to run `migrate` before `lbdev up`."""

import sqlite3
from contextlib import contextmanager

import django
from django.conf import settings


@contextmanager
def one_at_a_time():
    """Lets one process in at a time.

    Four copies start together, and Django's `migrate` expects to be alone. The lock is SQLite's own, on a file beside
    the database: it works on every platform, and the system takes it back from a process that dies.
    """
    lock = sqlite3.connect(
        settings.BASE_DIR / "db.lock", timeout=60, isolation_level=None
    )
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        lock.close()


def prepare():
    """Applies the migrations that are missing. The first copy does it; the others wait, and find it done."""
    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    with one_at_a_time():
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
            with connection.cursor() as cursor:
                # The file remembers this: readers and the one writer no longer wait for each other.
                cursor.execute("PRAGMA journal_mode = WAL")
        connection.close()
