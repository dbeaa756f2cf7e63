"""customers-relay: the events that wait in the outbox of customers go to the broker."""

import threading

from chassis.outbox import relay
from chassis.storage import idempotency_keys
from customers.events import TOPOLOGY
from customers.settings import Settings

PROCESS = "customers-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete what has served its time."""
    relay.run(PROCESS, settings, TOPOLOGY, stop, [idempotency_keys.EXPIRY])
