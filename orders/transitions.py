"""Changes of an order's state: the row, its history and its event, in one transaction.

allowed_transitions.py decides which changes are allowed.
"""

import logging
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, update

from chassis.storage import after_commit
from orders.allowed_transitions import event_of
from orders.events import announce
from orders.models import order_history, orders
from orders.queries import OrderView

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cause:
    """What causes a change.

    Attributes:
        source: the process that changes the order, such as `orders-api`.
        name: the type of the event that causes it, or `api`.
        message_id: that event's id, or the request's.
    """

    source: str
    name: str
    message_id: str | None


def move(
    connection: Connection, order: OrderView, status: str, cause: Cause, reason: str | None = None
) -> OrderView:
    """Move a locked order to another state and return it; the caller has checked `status`.

    Args:
        connection: in the transaction that holds the order's lock.
        order: its current state.
        status: the new state.
        cause: what causes the change.
        reason: the explanation for the customer.
    """
    # not now(): the transaction may have begun before the last change
    now = func.clock_timestamp()
    values = {"status": status, "reason": reason, "updated_at": now, "sweep_at": now, "resends": 0}
    change = update(orders).where(orders.c.id == order["id"]).values(**values)
    changed = connection.execute(change.returning(orders.c.updated_at)).scalar_one()
    moved: OrderView = {**order, "status": status, "reason": reason, "updated_at": changed}
    record_change(connection, order["id"], order["status"], status, cause)
    announce(connection, event_of(status), moved, cause.source)
    _log(connection, order, status, cause)
    return moved


def record_change(
    connection: Connection, order_pk: int, from_status: str | None, to_status: str, cause: Cause
) -> None:
    """Add a change of state to the order's history."""
    row = {
        "order_pk": order_pk,
        "from_status": from_status,
        "to_status": to_status,
        "at": func.clock_timestamp(),
        "cause": cause.name,
        "message_id": cause.message_id,
    }
    connection.execute(insert(order_history).values(**row))


def _log(connection: Connection, order: OrderView, status: str, cause: Cause) -> None:
    extra = {
        "order_id": order["order_id"],
        "uid": str(order["uid"]),
        "from_status": order["status"],
        "to_status": status,
        "cause": cause.name,
    }
    after_commit.log(connection, logger, "order moved", extra)
