"""orders' events: an order was created, changed or deleted."""

from datetime import datetime, timezone

from sqlalchemy import Connection

from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message
from chassis.messaging.topology import Exchange
from chassis.outbox import table as outbox
from orders.customer_replica.table import email_of
from orders.queries import FoundOrder

EXCHANGE = Exchange("order_events", "topic")


_MANDATORY = frozenset({"order.created", "order.completed", "order.cancelled"})


def announce(connection: Connection, type: str, order: FoundOrder, source: str) -> None:
    """Put an order's event into the outbox, so that nobody needs to ask back.

    Args:
        connection: in the transaction of the change, which holds the order's lock.
        type: such as `order.created`.
        order: as it is now; a deleted one as it was.
        source: the process that says so, such as `orders-api`.
    """
    outbox.add(connection, order_event(connection, type, order, source), aggregate(order))


def aggregate(order: FoundOrder) -> str:
    """Return under which name the messages of an order keep their order in the outbox."""
    return f"order/{order['uid']}"


def order_event(connection: Connection, type: str, order: FoundOrder, source: str) -> Message:
    """Make the event of an order; see `announce`.

    All messages of an order with items are urgent, and none of a bare one: only the first has a way
    to go.
    """
    now = datetime.now(timezone.utc)
    data = {
        "uid": order["uid"],
        "id": order["id"],
        "order_id": order["order_id"],
        "customer_id": order["customer_id"],
        "email": email_of(connection, order["customer_id"]),
        "status": order["status"],
        "total": order["total_amount"],
        "lines": order["items"],
        "reason": order["reason"],
        "timestamp": now,
    }
    mandatory, urgent = type in _MANDATORY, bool(order["items"])
    return event(EXCHANGE.name, type, source, data, time=now, mandatory=mandatory, urgent=urgent)
