"""What billing hears and tells: an order is cancelled; a bill was recorded or voided."""

from dataclasses import replace

from sqlalchemy import RowMapping

from billing.bills import VoidBill
from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message
from chassis.messaging.topology import Binding, Exchange, Queue, Topology, dead_letter_queue

EXCHANGE = Exchange("billing_events", "topic")
SOURCE = "billing-consumer"
ORDER_BILLS = "order_bills"
"""The queue of the bills that orders ask for; those that clients post wait in another one."""
INBOX, ORDER_CANCELLED = "billing_inbox", "order.cancelled"
_ORDERS = Exchange("order_events", "topic")
INBOX_TOPOLOGY: Topology = (
    Queue(INBOX),
    Queue(dead_letter_queue(INBOX)),
    _ORDERS,
    Binding(INBOX, _ORDERS.name, ORDER_CANCELLED),
)
_ORDERS_INBOX = "orders_inbox"
RELAY_TOPOLOGY: Topology = (
    EXCHANGE,
    Queue(_ORDERS_INBOX),
    Binding(_ORDERS_INBOX, EXCHANGE.name, "bill.voided"),
)
"""What must be there before an event is published: no order may miss that its bill is recorded."""


def bill_recorded(bill: RowMapping) -> Message:
    """Make the event of a new bill, with all that the API shows of it."""
    return event(EXCHANGE.name, "bill.recorded", SOURCE, dict(bill))


def told_to_orders(recorded: Message) -> Message:
    """Make the copy of `bill.recorded` that goes to orders, of the bill of an order.

    Orders does not listen to the exchange: its messages would wait behind those about the bills of
    clients. Nor do they wait behind those in the outbox.
    """
    return replace(recorded, exchange="", routing_key=_ORDERS_INBOX, mandatory=True, urgent=True)


def bill_voided(void: VoidBill) -> Message:
    """Make the event of a void bill, with all that the API shows of it.

    Of a bill that has not come, there is nothing to show but its id.
    """
    return event(EXCHANGE.name, "bill.voided", SOURCE, void.shown, mandatory=True, urgent=True)
