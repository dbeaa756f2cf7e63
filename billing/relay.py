"""billing-relay: the events that wait in billing's outbox go to the broker."""

import threading

from billing import bills
from billing.events import RELAY_TOPOLOGY
from billing.settings import Settings
from chassis.outbox import relay
from chassis.storage import inbox

PROCESS = "billing-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set; delete what inbox and notes need no longer hold."""
    expiries = [inbox.expiry(settings.retention), bills.expiry(settings.retention)]
    relay.run(PROCESS, settings, RELAY_TOPOLOGY, stop, expiries)
