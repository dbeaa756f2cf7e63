"""customers-relay: the events that wait in the outbox of customers go to the broker."""

import threading

from chassis import worker
from chassis.relay import Relay
from customers.events import create_publisher
from customers.settings import Settings

PROCESS = "customers-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set."""
    publisher = create_publisher(settings, PROCESS)
    relay = Relay(settings.database, publisher, stop)
    worker.serve_health(PROCESS, [relay, publisher], settings.server, settings.relay_port)
    relay.run()
    publisher.close()
