"""customers-relay: publishes the events of the outbox of customers."""

import threading

from chassis import relay_process
from chassis.storage import idempotency_keys
from customers.events import EXCHANGE
from customers.settings import Settings


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set; also delete expired rows."""
    expiries = [idempotency_keys.EXPIRY]
    relay_process.run("customers-relay", settings, stop, EXCHANGE, expiries=expiries)
