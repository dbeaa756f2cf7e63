"""`import`: loads orders of another system, all of a file or none.

Imported orders are in the past: their history says `import`, and no event is published, since each
would send a mail to a customer. Later changes of these orders are published as usual.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy.exc import OperationalError

from chassis.cli import Command, echo
from chassis.printable import escaped_line
from chassis.storage.database import Database, is_lock_timeout
from orders.imports.files import WrongOrdersError, check, read
from orders.imports.loading import checked_ahead, load
from orders.imports.record import FileError


@click.command("import", cls=Command, example="{} orders.csv --dry-run")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Load everything, then roll back.")
def import_(path: Path, dry_run: bool) -> None:
    """Load orders from FILE.csv or FILE.json: all, or none if one is wrong.

    The first line of CSV is order_id,customer_id,total_amount,status (and optionally created_at);
    JSON is an array of objects with these names. Orders that exist already are skipped. No events
    are published, so no mail is sent.
    """
    from orders.settings import load as settings

    with _reported(path):
        records = read(path)
        # what is wrong there is said without a database
        imported = checked_ahead(check(records))
        database = Database(settings().database, connections=1)
        with (
            database.transaction() as connection,
            click.progressbar(length=len(records), label="loading", hidden=not _is_seen()) as bar,
        ):
            done = load(connection, imported, bar.update)
            if dry_run:
                connection.rollback()
        database.close()
    would = "would be " if dry_run else ""
    echo(f"orders {would}loaded: {done.loaded}; skipped, since they exist: {done.skipped}")


def _is_seen() -> bool:
    """Whether a bar can grow: elsewhere its label alone would be written."""
    return sys.stdout.isatty()


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise
        detail = "another import, or a VACUUM of orders, takes too long; none is loaded"
        raise click.ClickException(f"{path}: {detail}") from None
    except FileError as error:
        raise click.ClickException(f"{path}: {error}") from None
    except WrongOrdersError as error:
        for fault in error.faults:
            echo(escaped_line(fault), err=True)
        raise click.ClickException(f"{path}: {error}") from None
