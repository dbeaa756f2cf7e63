"""mail-worker: sends customers a mail at each step of their orders.

Its consumer records the mails in a table, in one transaction with the inbox: a mail that fails does
not block the queue. Its senders send the mails of the table.
"""

import threading
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from chassis.consumer_process import ConsumerProcess
from chassis.http.client import ServiceClient
from chassis.messaging.declarations import dead_letter_queue
from chassis.messaging.event_handler import BatchReaction, EventHandler, ReceivedEvent
from chassis.storage.database import Database
from orders.allowed_transitions import STEPS, Step, event_of
from orders.events import EXCHANGE
from orders.mail import recording
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
STEP_OF: Mapping[str, Step] = {event_of(step): step for step in STEPS}
"""The step of an order, by the type of its event."""
_SENDERS = 4  # of mails over the network
_RENEW_SECONDS = 5.0  # far below a lease


def _lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    orders = (event.data for event in events if isinstance(event.data, OrderData))
    mails.lock_to_record(connection, [order.uid for order in orders])


class MailHandler(EventHandler):
    """Records the mails that events cause, and wakes those who send and address them."""

    def __init__(
        self,
        database: Database,
        to_send: threading.Event | None = None,
        to_address: threading.Event | None = None,
    ) -> None:
        """Prepare a handler.

        Args:
            database: `orders_db`.
            to_send: set when mails are recorded.
            to_address: set when one of them lacks its address.
        """
        reaction = BatchReaction(EXCHANGE, OrderData, self._record)
        super().__init__(database, PROCESS, dict.fromkeys(STEP_OF, reaction), _lock)
        self._to_send, self._to_address = to_send, to_address
        self._lacks_address = False

    def apply(self, items: Sequence[ReceivedEvent], lock_seconds: float | None = None) -> None:
        """Apply the events that were not applied before, in one transaction."""
        self._lacks_address = False
        super().apply(items, lock_seconds)
        if self._to_send is not None:
            self._to_send.set()
        if self._to_address is not None and self._lacks_address:
            self._to_address.set()

    def _record(self, connection: Connection, events: Sequence[ReceivedEvent]) -> None:
        causes = [
            recording.Cause(STEP_OF[event.type], event.data, event.id, event.trace)
            for event in events
            if isinstance(event.data, OrderData)
        ]
        self._lacks_address |= recording.record(connection, causes)


def transport(settings: MailSettings) -> Maildir | Smtp:
    """Return what delivers mails: a mail server if one is configured, else the Maildir."""
    return Smtp(settings) if settings.smtp_host else Maildir(settings.mail_dir)


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume the events of orders, and send mails, until `stop` is set."""
    process = ConsumerProcess(PROCESS, settings, stop)
    delivery = transport(settings.mail)
    # one files whatever waits; more would only share it
    senders = 1 if delivery.is_local else _SENDERS
    database = process.database(senders + 3)
    to_send, to_address = threading.Event(), threading.Event()
    sender = Sender(database, delivery, settings.mail.mail_from, dead_letter_queue(QUEUE), stop)
    lookup = RecipientLookup(database, ServiceClient(settings.customers), to_send)
    process.consume(QUEUE, MailHandler(database, to_send, to_address))
    process.run(
        settings.mail_port,
        *(partial(repeat, sender.work, woken(to_send), stop) for _ in range(senders)),
        partial(repeat, lookup.work, woken(to_address), stop),
        partial(repeat, sender.renew_claims, partial(stop.wait, _RENEW_SECONDS), stop),
        checks=[delivery] if isinstance(delivery, Maildir) else [],
    )
