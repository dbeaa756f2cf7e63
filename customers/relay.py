"""customers-relay: the events that wait in the outbox of customers go to the broker."""

import threading

from chassis import relay
from customers.events import EXCHANGE
from customers.settings import Settings

PROCESS = "customers-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set."""
    relay.run(PROCESS, settings, [EXCHANGE], stop)
