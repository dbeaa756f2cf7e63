"""Orders that were completed before inventory confirmed sales (revision orders_0010).

Inventory may have missed the completion of any of them, and would keep their stock reserved for
ever. So their sale is requested once: in batches of 100 with a pause between, the oldest first, and
none while that many orders are stuck. After that the sweeper treats them like any other order.
"""

import logging
from collections.abc import Sequence

from sqlalchemy import Connection, func, select, text, update

from chassis.storage import after_commit
from orders import queries
from orders.models import orders
from orders.sweeping import needs, repetition

MAX_EXAMINED, MAX_ASKED = 1000, 100
"""How many completed orders a batch examines, and for how many it sends a request, at most."""
_POSITION = text("SELECT after_id FROM unconfirmed_sales FOR UPDATE SKIP LOCKED")
logger = logging.getLogger(__name__)


def ask(connection: Connection) -> bool:
    """Request the next sales; False if none is left, or another process is doing it.

    Args:
        connection: in a transaction, which the caller commits.
    """
    after = connection.execute(_POSITION).scalar()
    if after is None:
        return False
    order_pks = _completed(connection, after)
    if not order_pks:
        connection.execute(text("DELETE FROM unconfirmed_sales"))
        done = "the sales of all orders that were completed before are requested"
        after_commit.log(connection, logger, done, {})
        return False
    asked = _ask(connection, order_pks)
    reached = asked[-1] if len(asked) == MAX_ASKED else order_pks[-1]
    connection.execute(text("UPDATE unconfirmed_sales SET after_id = :id"), {"id": reached})
    if asked:
        extra = {"orders": len(asked), "up_to_id": reached}
        after_commit.log(connection, logger, "requested the sale of completed orders", extra)
    return True


def _completed(connection: Connection, after: int) -> Sequence[int]:
    # by the index orders_status
    rows = select(orders.c.id).where(orders.c.status == "completed", orders.c.id > after)
    return connection.execute(rows.order_by(orders.c.id).limit(MAX_EXAMINED)).scalars().all()


def _ask(connection: Connection, order_pks: Sequence[int]) -> Sequence[int]:
    """Request the sales that were never requested; return the ids of their orders."""
    found = needs.unconfirmed(connection, order_pks, MAX_ASKED)
    for missing in found:
        order = queries.get(connection, missing.order_pk)
        first = queries.history(connection, missing.order_pk)[0]
        repetition.enqueue(connection, order, missing, first["message_id"])
    ids = [missing.order_pk for missing in found]
    connection.execute(update(orders).where(orders.c.id.in_(ids)).values(sweep_at=func.now()))
    return ids
