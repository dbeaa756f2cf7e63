"""Figures of all orders, kept by triggers: each statement adds a row with what it has changed.

The figures are always exact: the row is part of the change, and folding rows keeps their sum.
"""

from decimal import Decimal
from typing import TypedDict

from sqlalchemy import BIGINT, Column, Connection, Numeric, Table, Text, func, select, text

from chassis.storage.database import Database
from orders.allowed_transitions import STATUSES
from orders.models import metadata

BATCH_SIZE = 10_000
"""How many rows are folded at once."""

figures = Table(
    "order_figures",
    metadata,
    Column("status", Text, nullable=False),
    Column("count", BIGINT, nullable=False),
    Column("amount", Numeric(20, 2), nullable=False),
)

_FOLD = text(
    "WITH gone AS (DELETE FROM order_figures WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM order_figures LIMIT :batch_size FOR UPDATE SKIP LOCKED)) RETURNING *), "
    "added AS (INSERT INTO order_figures "
    "SELECT status, sum(count), sum(amount) FROM gone GROUP BY status) "
    "SELECT count(*) FROM gone"
)


class Figures(TypedDict):
    """A number of orders, and their amount."""

    count: int
    amount: Decimal


class Stats(TypedDict):
    """The figures of all orders, by state and in total."""

    by_status: dict[str, Figures]
    total: Figures


def stats(connection: Connection) -> Stats:
    """Return the number and the amount of orders, by state and in total."""
    columns = (figures.c.status, func.sum(figures.c.count), func.sum(figures.c.amount))
    rows = connection.execute(select(*columns).group_by(figures.c.status))
    found = {status: Figures(count=int(count), amount=amount) for status, count, amount in rows}
    none = Figures(count=0, amount=Decimal("0.00"))
    by_status = {status: found.get(status, none) for status in STATUSES}
    every = by_status.values()
    amount = sum((one["amount"] for one in every), Decimal(0))
    return Stats(
        by_status=by_status,
        total=Figures(count=sum(one["count"] for one in every), amount=amount),
    )


def fold(database: Database) -> None:
    """Replace the rows of each state by their sum, so that reading stays fast; wait for no lock."""
    folded = BATCH_SIZE
    with database.autocommit() as connection:
        while folded == BATCH_SIZE:
            folded = connection.execute(_FOLD, {"batch_size": BATCH_SIZE}).scalar_one()
