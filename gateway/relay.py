"""gateway-relay: what waits in the gateway's outbox goes to the broker."""

import threading

from chassis.http import idempotency
from chassis.outbox import relay
from gateway import events
from gateway.app import bill_topology
from gateway.settings import Settings

PROCESS = "gateway-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete what has served its time."""
    topology = [*bill_topology(settings), *events.TOPOLOGY]
    relay.run(
        PROCESS, settings, topology, stop, [idempotency.EXPIRY, events.expiry(settings.retention)]
    )
