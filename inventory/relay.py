"""inventory-relay: the events that wait in inventory's outbox go to the broker."""

import threading

from chassis import inbox, relay
from inventory.events import EXCHANGE
from inventory.settings import Settings

PROCESS = "inventory-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete what has served its time."""
    relay.run(PROCESS, settings, [EXCHANGE], stop, [inbox.purge])
