"""What billing hears and tells: an order is cancelled; a bill was recorded."""

from sqlalchemy import RowMapping

from chassis.broker import Binding, Exchange, Message, Queue, Topology, dead_letter_queue
from chassis.events import event

EXCHANGE = Exchange("billing_events", "topic")
SOURCE = "billing-consumer"
INBOX, ORDER_CANCELLED = "billing_inbox", "order.cancelled"
_ORDERS = Exchange("order_events", "topic")
INBOX_TOPOLOGY: Topology = (
    Queue(INBOX),
    Queue(dead_letter_queue(INBOX)),
    _ORDERS,
    Binding(INBOX, _ORDERS.name, ORDER_CANCELLED),
)


def bill_recorded(bill: RowMapping) -> Message:
    """Make the event that tells of a new bill, with all that the API shows of it."""
    return event(EXCHANGE.name, "bill.recorded", SOURCE, dict(bill))
