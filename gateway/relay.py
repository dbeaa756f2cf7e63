"""gateway-relay: publishes the messages of the gateway's outbox."""

import threading

from chassis import relay_process
from chassis.storage import idempotency_keys
from gateway import client_events
from gateway.app import bill_topology
from gateway.settings import Settings

PROCESS = "gateway-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete expired rows."""
    topology = [*bill_topology(settings), *client_events.TOPOLOGY]
    expiries = [idempotency_keys.EXPIRY, client_events.expiry(settings.retention)]
    relay_process.run(PROCESS, settings, topology, stop, expiries)
