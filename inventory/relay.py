"""inventory-relay: publishes the events of inventory's outbox."""

import threading

from chassis import relay_process
from chassis.storage import idempotency_keys, inbox
from inventory import stock
from inventory.events import RELAY_TOPOLOGY
from inventory.settings import Settings

PROCESS = "inventory-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete expired rows."""
    retention = settings.retention
    expiries = [idempotency_keys.EXPIRY, inbox.expiry(retention), *stock.expiries(retention)]
    relay_process.run(PROCESS, settings, RELAY_TOPOLOGY, stop, expiries)
