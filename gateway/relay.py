"""gateway-relay: what waits in the gateway's outbox goes to the broker."""

import threading

from chassis.outbox import relay
from chassis.storage import idempotency_keys
from gateway import events
from gateway.app import bill_topology
from gateway.settings import Settings

PROCESS = "gateway-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete what has served its time."""
    topology = [*bill_topology(settings), *events.TOPOLOGY]
    expiries = [idempotency_keys.EXPIRY, events.expiry(settings.retention)]
    relay.run(PROCESS, settings, topology, stop, expiries)
