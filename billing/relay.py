"""billing-relay: publishes the events of billing's outbox."""

import threading

from billing import bills
from billing.events import RELAY_TOPOLOGY
from billing.settings import Settings
from chassis import relay_process
from chassis.storage import inbox

PROCESS = "billing-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete expired rows."""
    expiries = [inbox.expiry(settings.retention), bills.expiry(settings.retention)]
    relay_process.run(PROCESS, settings, RELAY_TOPOLOGY, stop, expiries)
