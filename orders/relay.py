"""orders-relay: events and bills that wait in the outbox of orders go to the broker."""

import threading

from chassis import idempotency, inbox, relay
from chassis.broker import Queue, Topology, dead_letter_queue
from orders import mails
from orders.events import EXCHANGE
from orders.settings import Settings

PROCESS = "orders-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete what has served its time."""
    queue = settings.broker.queue
    topology: Topology = [EXCHANGE, Queue(queue), Queue(dead_letter_queue(queue))]
    retention = settings.retention
    expiries = [idempotency.EXPIRY, inbox.expiry(retention), mails.expiry(retention)]
    relay.run(PROCESS, settings, topology, stop, expiries)
