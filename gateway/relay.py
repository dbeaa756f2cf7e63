"""gateway-relay: publishes the messages of the gateway's outbox."""

import threading

from chassis import relay_process
from chassis.storage import idempotency_keys
from gateway import client_events
from gateway.cache import follower
from gateway.settings import Settings


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete expired rows."""
    expiries = [idempotency_keys.EXPIRY, client_events.expiry(settings.retention)]
    exchange, queues = client_events.EXCHANGE, ["billing_queue"]
    with follower.following(settings.broker, settings.cache, settings.versions):
        # a mark also gives events their positions, which clients may have seen: none may be lost
        relay_process.run(
            "gateway-relay", settings, stop, exchange, queues, expiries, is_durable=True
        )
