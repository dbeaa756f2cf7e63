"""Figures of all orders, which triggers keep: what each statement changes is a row of its own.

They are exact at any time, since the rows come with the change; adding them up changes no sum.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import BIGINT, Column, Connection, Numeric, Table, Text, func, select, text

from orders.models import Base
from orders.status import STATUSES

PIECE = 10_000
"""How many rows are added up at once."""

figures = Table(
    "order_figures",
    Base.metadata,
    Column("status", Text, nullable=False),
    Column("count", BIGINT, nullable=False),
    Column("amount", Numeric(20, 2), nullable=False),
)

_FOLD = text(
    "WITH gone AS (DELETE FROM order_figures WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM order_figures LIMIT :piece FOR UPDATE SKIP LOCKED)) RETURNING *), "
    "added AS (INSERT INTO order_figures "
    "SELECT status, sum(count), sum(amount) FROM gone GROUP BY status) "
    "SELECT count(*) FROM gone"
)


def stats(connection: Connection) -> dict[str, Any]:
    """Return how many orders there are and what they amount to, by state and in all."""
    columns = (figures.c.status, func.sum(figures.c.count), func.sum(figures.c.amount))
    rows = connection.execute(select(*columns).group_by(figures.c.status))
    found = {status: _figures(int(count), amount) for status, count, amount in rows}
    by_status = {status: found.get(status, _figures(0, Decimal("0.00"))) for status in STATUSES}
    every = by_status.values()
    total = _figures(sum(one["count"] for one in every), sum(one["amount"] for one in every))
    return {"by_status": by_status, "total": total}


def _figures(count: int, amount: Decimal) -> dict[str, Any]:
    return {"count": count, "amount": amount}


def fold(connection: Connection) -> None:
    """Add up the rows of each state, so that there are few to be read; wait for nobody.

    Args:
        connection: in a transaction, or outside of one; each piece is committed.
    """
    folded = PIECE
    while folded == PIECE:
        folded = connection.execute(_FOLD, {"piece": PIECE}).scalar_one()
        connection.commit()
