"""An order's change of state: the row, its history and its event, in one transaction."""

import logging
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, update

from orders.events import announce
from orders.models import Order, OrderChange
from orders.queries import FoundOrder

_EVENTS = {
    "processing": "order.updated",
    "completed": "order.completed",
    "cancelled": "order.cancelled",
}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cause:
    """What brings a change about.

    Attributes:
        source: the process that changes the order, such as `orders-api`.
        name: the type of the event that it follows, or `api`.
        message_id: that event's id, or the request's.
    """

    source: str
    name: str
    message_id: str | None


def move(
    connection: Connection, order: FoundOrder, status: str, cause: Cause, reason: str | None = None
) -> FoundOrder:
    """Move a locked order to another state, which the caller knows to be allowed; return it.

    Args:
        connection: in the transaction that holds the order's lock.
        order: as it is.
        status: what it becomes.
        cause: why.
        reason: what to tell the customer about it.
    """
    # not now(): that is when the transaction began, which may be before the last change
    now = func.clock_timestamp()
    values = {"status": status, "reason": reason, "updated_at": now, "sweep_at": now, "resends": 0}
    change = update(Order).where(Order.id == order["id"]).values(**values)
    changed = connection.execute(change.returning(Order.updated_at)).scalar_one()
    moved = {**order, "status": status, "reason": reason, "updated_at": changed}
    note(connection, order["id"], order["status"], status, cause)
    announce(connection, _EVENTS[status], moved, cause.source)
    _log(order, status, cause)
    return moved


def note(
    connection: Connection, order_pk: int, from_status: str | None, to_status: str, cause: Cause
) -> None:
    """Write a change of state into the order's history."""
    row = {
        "order_pk": order_pk,
        "from_status": from_status,
        "to_status": to_status,
        "at": func.clock_timestamp(),
        "cause": cause.name,
        "message_id": cause.message_id,
    }
    connection.execute(insert(OrderChange).values(**row))


def _log(order: FoundOrder, status: str, cause: Cause) -> None:
    extra = {
        "order_id": order["order_id"],
        "uid": str(order["uid"]),
        "from_status": order["status"],
        "to_status": status,
        "cause": cause.name,
    }
    logger.info("order moved", extra=extra)
