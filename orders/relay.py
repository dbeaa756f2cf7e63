"""orders-relay: events and bills that wait in the outbox of orders go to the broker."""

import threading

from chassis.outbox import relay
from chassis.storage import idempotency_keys, inbox
from orders import statistics
from orders.mail import table as mails
from orders.participants import TOPOLOGY
from orders.settings import Settings

PROCESS = "orders-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, delete what has served its time, and add up figures."""
    retention = settings.retention
    expiries = [idempotency_keys.EXPIRY, inbox.expiry(retention), mails.expiry(retention)]
    relay.run(PROCESS, settings, TOPOLOGY, stop, expiries, [statistics.fold])
