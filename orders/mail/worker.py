"""mail-worker: sends customers a mail at each step of their orders.

Its consumer records the mails in a table, in one transaction with the inbox: a mail that fails does
not block the queue. Its senders send the mails of the table.
"""

import threading
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from chassis.consumer_process import ConsumerProcess
from chassis.http.client import ServiceClient
from chassis.messaging.declarations import dead_letter_queue
from chassis.messaging.event_handler import EventHandler, Reaction, ReceivedEvent
from chassis.storage.database import Database
from orders.allowed_transitions import STEPS, Step, event_of
from orders.events import EXCHANGE
from orders.mail import table as mails
from orders.mail.maildir import Maildir
from orders.mail.message import OrderData
from orders.mail.recipients import RecipientLookup
from orders.mail.sender import Sender
from orders.mail.settings import MailSettings
from orders.mail.smtp import Smtp
from orders.mail.worker_loop import repeat, woken
from orders.settings import Settings

PROCESS, QUEUE = "mail-worker", "mail_inbox"
_SENDERS = 4
_RENEW_SECONDS = 5.0  # far below a lease


def _record(step: Step, connection: Connection, order: OrderData, event_id: str) -> None:
    mails.record(connection, step, order, event_id)


REACTIONS = {
    event_of(step): Reaction(EXCHANGE, OrderData, partial(_record, step)) for step in STEPS
}


def _lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    orders = (event.data for event in events if isinstance(event.data, OrderData))
    mails.lock_to_record(connection, [order.uid for order in orders])


class MailHandler(EventHandler):
    """Records the mails that events cause, and wakes the senders."""

    def __init__(self, database: Database, wake: Sequence[threading.Event] = ()) -> None:
        super().__init__(database, PROCESS, REACTIONS, _lock)
        self._wake = wake

    def apply(self, items: Sequence[ReceivedEvent], lock_seconds: float | None = None) -> None:
        """Apply the events that were not applied before, in one transaction."""
        super().apply(items, lock_seconds)
        for event in self._wake:
            event.set()


def transport(settings: MailSettings) -> Maildir | Smtp:
    """Return what delivers mails: a mail server if one is configured, else the Maildir."""
    return Smtp(settings) if settings.smtp_host else Maildir(settings.mail_dir)


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume the events of orders, and send mails, until `stop` is set."""
    process = ConsumerProcess(PROCESS, settings, stop)
    database = process.database(_SENDERS + 3)
    delivery = transport(settings.mail)
    to_send, to_address = threading.Event(), threading.Event()
    sender = Sender(database, delivery, settings.mail.mail_from, dead_letter_queue(QUEUE), stop)
    lookup = RecipientLookup(database, ServiceClient(settings.customers), to_send)
    process.consume(QUEUE, MailHandler(database, [to_send, to_address]))
    process.run(
        settings.mail_port,
        *(partial(repeat, sender.work, woken(to_send), stop) for _ in range(_SENDERS)),
        partial(repeat, lookup.work, woken(to_address), stop),
        partial(repeat, sender.renew_claims, partial(stop.wait, _RENEW_SECONDS), stop),
        checks=[delivery] if isinstance(delivery, Maildir) else [],
    )
