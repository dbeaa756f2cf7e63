"""The events of customers: a customer was created, updated or deleted."""

from collections.abc import Mapping

from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message

EXCHANGE, SOURCE = "customer_events", "customer-api"
_DATA = ("id", "email", "name", "company", "phone")


def customer_event(type: str, customer: Mapping[str, object], version: int) -> Message:
    """Return the event of a customer's change.

    Args:
        type: `customer.created`, `customer.updated` or `customer.deleted`.
        customer: its current state, or the last one if it is deleted.
        version: the number of changes of this customer, its deletion included.
    """
    data = {**{name: customer[name] for name in _DATA}, "version": version}
    return event(EXCHANGE, type, SOURCE, data)
