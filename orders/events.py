"""The events of orders: an order was created, changed or deleted.

allowed_transitions.py has the list of the changes that others react to (`STEPS`).
"""

from datetime import datetime, timezone

from sqlalchemy import Connection

from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from orders.allowed_transitions import STEPS, event_of
from orders.customer_replica.table import email_of
from orders.queries import OrderFacts

EXCHANGE = "order_events"
_MANDATORY = frozenset(map(event_of, STEPS))


def announce(connection: Connection, type: str, order: OrderFacts, source: str) -> None:
    """Put an order's event into the outbox, with all data, so that no receiver needs a call.

    Args:
        connection: in the transaction of the change, which holds the order's lock.
        type: such as `order.created`.
        order: its current state, or the last one if it is deleted.
        source: the process that publishes it, such as `orders-api`.
    """
    email = email_of(connection, order["customer_id"])
    outbox.add(connection, order_event(type, order, source, email), aggregate(order))


def aggregate(order: OrderFacts) -> str:
    """Return the outbox key of an order: messages with the same key stay in sequence."""
    return f"order/{order['uid']}"


def order_event(type: str, order: OrderFacts, source: str, email: str | None) -> Message:
    """Make the event of an order; see `announce`. `email` is its customer's address, if known.

    All messages of an order with items are urgent, and none of a bare one: only the first has a way
    to go.
    """
    now = datetime.now(timezone.utc)
    data = {
        "uid": order["uid"],
        "id": order["id"],
        "order_id": order["order_id"],
        "customer_id": order["customer_id"],
        "email": email,
        "status": order["status"],
        "total": order["total_amount"],
        "lines": order["items"],
        "reason": order["reason"],
        "timestamp": now,
    }
    mandatory, urgent = type in _MANDATORY, bool(order["items"])
    return event(EXCHANGE, type, source, data, time=now, mandatory=mandatory, urgent=urgent)
