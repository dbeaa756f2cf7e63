"""gateway-relay: what waits in the gateway's outbox goes to the broker."""

import threading

from chassis import idempotency, worker
from chassis.relay import Relay
from gateway import events
from gateway.app import create_publisher
from gateway.settings import Settings

PROCESS = "gateway-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete idempotency keys that have expired."""
    publisher = create_publisher(settings, PROCESS, events.TOPOLOGY)
    relay = Relay(settings.database, publisher, stop, [idempotency.purge])
    worker.serve_health(PROCESS, [relay, publisher], settings.server, settings.relay_port)
    relay.run()
    publisher.close()
