"""customers' events: a customer was created, updated or deleted."""

from collections.abc import Mapping
from typing import Any

from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message
from chassis.messaging.topology import Binding, Exchange, Queue, Topology

EXCHANGE = Exchange("customer_events", "fanout")
_ORDERS_INBOX = "orders_inbox"
TOPOLOGY: Topology = (EXCHANGE, Queue(_ORDERS_INBOX), Binding(_ORDERS_INBOX, EXCHANGE.name))
"""What must be there before an event is published: orders keeps a copy of the customers."""
SOURCE = "customer-api"
_DATA = ("id", "email", "name", "company", "phone")


def customer_event(type: str, customer: Mapping[str, Any], version: int) -> Message:
    """Make the event of a customer's change.

    Args:
        type: `customer.created`, `customer.updated` or `customer.deleted`.
        customer: as it is now; a deleted one as it was.
        version: counts the changes of this customer, a deletion, too.
    """
    data = {**{name: customer[name] for name in _DATA}, "version": version}
    return event(EXCHANGE.name, type, SOURCE, data)
