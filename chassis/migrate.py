"""Migrates the databases of several services in one process; `tools.stack.migrations` runs it.

    python -m chassis.migrate

reads names of services from standard input, a line each, as soon as their databases are there, and
writes each back once its database has the newest revision. It ends with the first that fails: exit
status 1, and the reason is the last line on standard error.
"""

import sys
from collections.abc import Iterable
from importlib import import_module

from sqlalchemy.exc import OperationalError

from chassis.cli import database_failure
from chassis.errors import SettingsError
from chassis.printable import escaped
from chassis.storage import migrations


def main(services: Iterable[str]) -> int:
    """Migrate one after the other; return the exit status."""
    for service in services:
        try:
            migrations.upgrade(service, import_module(f"{service}.settings").load().database)
        except (SettingsError, OperationalError) as error:
            sys.stderr.write(f"{escaped(_reason(error))}\n")
            return 1
        print(service, flush=True)
    return 0


def _reason(error: SettingsError | OperationalError) -> str:
    return database_failure(error) if isinstance(error, OperationalError) else str(error)


if __name__ == "__main__":
    sys.exit(main(line.strip() for line in sys.stdin))
