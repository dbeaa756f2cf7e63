"""inventory-relay: publishes the events of inventory's outbox."""

import threading

from chassis import relay_process
from chassis.storage import idempotency_keys, inbox
from inventory import stock
from inventory.events import EXCHANGE
from inventory.settings import Settings


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete expired rows."""
    retention = settings.retention
    expiries = [idempotency_keys.EXPIRY, inbox.expiry(retention), *stock.expiries(retention)]
    relay_process.run("inventory-relay", settings, stop, EXCHANGE, expiries=expiries)
