"""customers-relay: publishes the events of the outbox of customers."""

import threading

from chassis import relay_process
from chassis.storage import idempotency_keys
from customers.events import TOPOLOGY
from customers.settings import Settings

PROCESS = "customers-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set; also delete expired rows."""
    relay_process.run(PROCESS, settings, TOPOLOGY, stop, [idempotency_keys.EXPIRY])
