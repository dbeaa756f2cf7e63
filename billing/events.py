"""The events that billing consumes (order cancelled) and publishes (bill recorded, bill voided)."""

from dataclasses import replace

from sqlalchemy import RowMapping

from billing.bills import VoidBill
from chassis.messaging.cloudevents import event
from chassis.messaging.declarations import Binding, Exchange, Queue, Topology, dead_letter_queue
from chassis.messaging.message import Message

EXCHANGE = Exchange("billing_events", "topic")
SOURCE = "billing-consumer"
ORDER_BILLS = "order_bills"
"""The queue of the bills that orders requests; bills that clients post have another one."""
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
"""Declared before an event is published, so that no order misses that its bill is recorded."""


def bill_recorded(bill: RowMapping) -> Message:
    """Build the event of a new bill, with all members that the API shows."""
    return event(EXCHANGE.name, "bill.recorded", SOURCE, dict(bill))


def copy_for_orders(recorded: Message) -> Message:
    """Build the copy of `bill.recorded` that goes to orders, for the bill of an order.

    Orders does not consume from the exchange: its messages would wait behind those about clients'
    bills. The copy is urgent, so that it does not wait behind these in the outbox either.
    """
    return replace(recorded, exchange="", routing_key=_ORDERS_INBOX, mandatory=True, urgent=True)


def bill_voided(void: VoidBill) -> Message:
    """Build the event of a void bill, with all members that the API shows.

    A bill that has not arrived has only its id.
    """
    return event(EXCHANGE.name, "bill.voided", SOURCE, void.shown, mandatory=True, urgent=True)
