"""inventory-relay: the events that wait in inventory's outbox go to the broker."""

import threading

from chassis import inbox, worker
from chassis.relay import Relay
from inventory.events import create_publisher
from inventory.settings import Settings

PROCESS = "inventory-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set."""
    publisher = create_publisher(settings, PROCESS)
    relay = Relay(settings.database, publisher, stop, [inbox.purge])
    worker.serve_health(PROCESS, [relay, publisher], settings.server, settings.relay_port)
    relay.run()
    publisher.close()
