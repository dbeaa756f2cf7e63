"""The events of customers: a customer was created, updated or deleted."""

from collections.abc import Mapping
from typing import Any

from chassis.messaging.cloudevents import event
from chassis.messaging.declarations import Binding, Exchange, Queue, Topology
from chassis.messaging.message import Message

EXCHANGE = Exchange("customer_events", "fanout")
_ORDERS_INBOX = "orders_inbox"
TOPOLOGY: Topology = (EXCHANGE, Queue(_ORDERS_INBOX), Binding(_ORDERS_INBOX, EXCHANGE.name))
"""What must exist before an event is published: orders keeps a copy of the customers."""
SOURCE = "customer-api"
_DATA = ("id", "email", "name", "company", "phone")


def customer_event(type: str, customer: Mapping[str, Any], version: int) -> Message:
    """Return the event of a customer's change.

    Args:
        type: `customer.created`, `customer.updated` or `customer.deleted`.
        customer: its current state, or the last one if it is deleted.
        version: the number of changes of this customer, its deletion included.
    """
    data = {**{name: customer[name] for name in _DATA}, "version": version}
    return event(EXCHANGE.name, type, SOURCE, data)
