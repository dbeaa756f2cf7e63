"""`import`: loads orders of another system, all of a file or none.

Imported orders are in the past: their history says `import`, and no event is published, since each
would send a mail to a customer. Later changes of these orders are published as usual.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import click
from sqlalchemy import Connection, text

from chassis.cli import Command, echo
from chassis.printable import escaped_line
from chassis.storage.database import Database
from orders.imports.files import ImportedOrder, check
from orders.imports.record import FileError

BATCH = 5000
"""How many orders one statement loads; their arrays have some hundred kilobytes."""
_LOAD = text(
    """
    WITH loaded AS (
        INSERT INTO orders (order_id, customer_id, total_amount, status, created_at, updated_at)
        SELECT order_id, customer_id, total_amount, status, created_at, created_at
        FROM unnest(
            CAST(:order_id AS text[]), CAST(:customer_id AS text[]),
            CAST(:total_amount AS numeric[]), CAST(:status AS text[]),
            CAST(:created_at AS timestamptz[])
        ) WITH ORDINALITY AS given
            (order_id, customer_id, total_amount, status, created_at, position)
        ORDER BY position
        ON CONFLICT (order_id) DO NOTHING
        RETURNING id, status
    )
    INSERT INTO order_history (order_pk, to_status, at, cause)
    SELECT id, status, :now, 'import' FROM loaded
    """
)


class Loaded(NamedTuple):
    """How many orders were loaded, and how many were skipped because they exist."""

    loaded: int
    skipped: int


def load(
    connection: Connection,
    imported: Sequence[ImportedOrder],
    progress: Callable[[int], object] = lambda count: None,
) -> Loaded:
    """Insert the orders that do not exist yet, in the caller's transaction.

    Args:
        connection: in a transaction, which the caller commits.
        imported: with different `order_id`s.
        progress: called after each batch with its number of orders.
    """
    now = datetime.now(timezone.utc)
    loaded = 0
    for start in range(0, len(imported), BATCH):
        batch = imported[start : start + BATCH]
        loaded += _load_batch(connection, batch, now)
        progress(len(batch))
    return Loaded(loaded, len(imported) - loaded)


def _load_batch(connection: Connection, batch: Sequence[ImportedOrder], now: datetime) -> int:
    given: Mapping[str, Sequence[object]] = {
        "order_id": [order.order_id for order in batch],
        "customer_id": [order.customer_id for order in batch],
        "total_amount": [str(order.total_amount) for order in batch],
        "status": [order.status for order in batch],
        "created_at": [(order.created_at or now).isoformat() for order in batch],
    }
    return connection.execute(_LOAD, {**given, "now": now}).rowcount


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

    imported = _checked(path)
    database = Database(settings().database, connections=1)
    with (
        database.transaction() as connection,
        click.progressbar(length=len(imported), label="loading", hidden=not _is_seen()) as bar,
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


def _checked(path: Path) -> Sequence[ImportedOrder]:
    try:
        orders, faults = check(path)
    except FileError as error:
        raise click.ClickException(f"{path}: {error}") from None
    for fault in faults:
        echo(escaped_line(str(fault)), err=True)
    if faults:
        raise click.ClickException(f"{path}: {len(faults)} of its orders are wrong; none is loaded")
    return orders
