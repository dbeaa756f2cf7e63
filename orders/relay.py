"""orders-relay: publishes the events and bills of the outbox of orders."""

import threading

from chassis import relay_process
from chassis.storage import idempotency_keys, inbox
from orders import statistics
from orders.events import EXCHANGE
from orders.mail import table as mails
from orders.saga import BILLS
from orders.settings import Settings


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set; also delete expired rows and fold the figures."""
    retention = settings.retention
    expiries = [idempotency_keys.EXPIRY, inbox.expiry(retention), mails.expiry(retention)]
    tasks = [statistics.fold]
    relay_process.run("orders-relay", settings, stop, EXCHANGE, [BILLS], expiries, tasks)
