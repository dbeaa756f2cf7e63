"""What customers tells whoever listens: a customer was created, updated or deleted."""

from collections.abc import Mapping
from typing import Any

from chassis.broker import Exchange, Message
from chassis.events import event
from chassis.publisher import Publisher
from customers.settings import Settings

EXCHANGE = Exchange("customer_events", "fanout")
SOURCE = "customer-api"
_DATA = ("id", "email", "name", "company", "phone")


def customer_event(type: str, customer: Mapping[str, Any], version: int) -> Message:
    """Make the event that tells of a customer's change.

    Args:
        type: `customer.created`, `customer.updated` or `customer.deleted`.
        customer: as it is now; a deleted one as it was.
        version: counts the changes of this customer, a deletion, too.
    """
    data = {**{name: customer[name] for name in _DATA}, "version": version}
    return event(EXCHANGE.name, type, SOURCE, data)


def create_publisher(settings: Settings, name: str) -> Publisher:
    """Start a publisher that finds the exchange there, or makes it.

    Its `publish` waits as long as a strict change may.
    """
    timeout = settings.events.event_publish_timeout_seconds
    publisher = Publisher(settings.broker, name, [EXCHANGE], timeout)
    publisher.start()
    return publisher
