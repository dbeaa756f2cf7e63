"""Orders that were completed before inventory confirmed that (revision orders_0010).

Inventory may have missed the completion of any of them, and would keep what they reserved for ever.
So each is asked for, once: in pieces of 100 with a pause between, the oldest first, and no piece
while that many orders are stuck. From then on the sweeper treats it like any other order.
"""

import logging
from collections.abc import Sequence

from sqlalchemy import Connection, func, select, text, update

from orders import needs, queries, repetition
from orders.models import Order

LOOKED_AT, ASKED = 1000, 100
"""How many completed orders a piece looks at, and about how many it asks, at most."""
_POSITION = text("SELECT after_id FROM unconfirmed_sales FOR UPDATE SKIP LOCKED")
logger = logging.getLogger(__name__)


def ask(connection: Connection) -> bool:
    """Ask about the next orders; False if nothing is left, or another process is at it.

    Args:
        connection: in a transaction, which the caller commits.
    """
    after = connection.execute(_POSITION).scalar()
    if after is None:
        return False
    order_pks = _completed(connection, after)
    if not order_pks:
        connection.execute(text("DELETE FROM unconfirmed_sales"))
        logger.info("all orders that were completed before are asked for")
        return False
    asked = _ask(connection, order_pks)
    reached = asked[-1] if len(asked) == ASKED else order_pks[-1]
    connection.execute(text("UPDATE unconfirmed_sales SET after_id = :id"), {"id": reached})
    if asked:
        extra = {"orders": len(asked), "up_to_id": reached}
        logger.info("asked whether the stock of completed orders is sold", extra=extra)
    return True


def _completed(connection: Connection, after: int) -> Sequence[int]:
    # by the index orders_status
    rows = select(Order.id).where(Order.status == "completed", Order.id > after)
    return connection.execute(rows.order_by(Order.id).limit(LOOKED_AT)).scalars().all()


def _ask(connection: Connection, order_pks: Sequence[int]) -> Sequence[int]:
    """Ask about those of the orders that nobody has asked about; return their ids."""
    found = needs.unconfirmed(connection, order_pks, ASKED)
    for owed in found:
        order = queries.get(connection, owed.order_pk)
        first = queries.history(connection, owed.order_pk)[0]
        repetition.add(connection, order, owed, first["message_id"])
    ids = [owed.order_pk for owed in found]
    connection.execute(update(Order).where(Order.id.in_(ids)).values(sweep_at=func.now()))
    return ids
