"""The outcomes of attempts to send mails: recorded, counted and logged."""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar
from uuid import uuid4

from prometheus_client import Counter
from sqlalchemy import Connection

from chassis.errors import first_line
from chassis.messaging import dead_letters
from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from chassis.schema.decoding import decode
from chassis.storage import database
from chassis.storage.database import Database
from orders.allowed_transitions import event_of
from orders.mail import claims
from orders.mail.claims import Mail
from orders.mail.worker_loop import retry_wait

MAILS = Counter("mails_total", "Attempts to send a mail, by step and outcome", ["step", "outcome"])
OUTCOMES = ("sent", "deferred", "refused")
GIVE_UP = timedelta(days=5)
"""RFC 5321, section 4.5.4.1."""
_STOP_SECONDS = 5.0  # from the order to stop: to record the outcome of a mail
_RETRY_SECONDS = 0.5
_Result = TypeVar("_Result")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcomes:
    """Records the outcomes of mails.

    Attributes:
        database: where the mails are.
        transport: the name of what delivers them.
        dead_letter_queue: for refused mails.
        stop: set to end the process.
    """

    database: Database
    transport: str
    dead_letter_queue: str
    stop: threading.Event

    def note_sent(self, mail: Mail, recipient: str) -> None:
        """Count and log that a mail, which is marked, is sent."""
        MAILS.labels(mail.step, "sent").inc()
        extra = extra_of(mail) | {"to": recipient}
        logger.info("mail sent", extra=extra | {"transport": self.transport})

    def defer(self, mail: Mail, reason: str) -> None:
        """Try again later; after `GIVE_UP` it is refused."""
        if datetime.now(timezone.utc) - mail.recorded_at > GIVE_UP:
            self.refuse(mail, f"given up after {GIVE_UP.days} days: {reason}")
            return
        wait = retry_wait(mail.attempts, random.random())
        self.persist(lambda connection: claims.defer(connection, mail, reason, wait))
        MAILS.labels(mail.step, "deferred").inc()
        extra = extra_of(mail) | {"reason": reason, "seconds": round(wait.total_seconds(), 1)}
        logger.warning("mail deferred", extra=extra)

    def refuse(self, mail: Mail, reason: str) -> None:
        """Refuse a mail for good: it becomes a dead letter."""
        self.persist(lambda connection: self._dead_letter(connection, mail, reason))
        MAILS.labels(mail.step, "refused").inc()
        logger.error("mail refused", extra=extra_of(mail) | {"reason": reason})

    def _dead_letter(self, connection: Connection, mail: Mail, reason: str) -> None:
        message = self._dead_letter_message(mail, reason)
        if claims.mark_refused(connection, mail, reason, message.id):
            outbox.add(connection, message)

    def _dead_letter_message(self, mail: Mail, reason: str) -> Message:
        """Return the mail's event, with a new id: the inbox accepts it when it is sent back."""
        message = event(
            "",
            event_of(mail.step),
            "mail-worker",
            _event_data(mail),
            routing_key=self.dead_letter_queue,
            id=uuid4(),
            mandatory=True,
        )
        return replace(message, headers={**message.headers, **dead_letters.why(reason)})

    def persist(
        self,
        act: Callable[[Connection], _Result],
        unless: Callable[[Exception], bool] = lambda error: False,
    ) -> _Result:
        """Commit the outcome of mails, however long the database is unavailable.

        Errors for which `unless` returns True are raised at once.
        """
        end = None
        while True:
            try:
                with self.database.transaction() as connection:
                    return act(connection)
            except Exception as error:
                if not database.is_outage(error) or unless(error):
                    raise
                if end is None and self.stop.is_set():
                    end = time.monotonic() + _STOP_SECONDS
                if end is not None and time.monotonic() > end:
                    raise
                logger.warning("waiting for the database", extra=_reason(error))
            threading.Event().wait(_RETRY_SECONDS)


def _event_data(mail: Mail) -> Any:
    """Return the data of the mail's event; if they can't be read, those of the row."""
    try:
        return decode(mail.data)
    except ValueError:
        return {"uid": mail.uid, "order_id": mail.order_id, "customer_id": mail.customer_id}


def extra_of(mail: Mail) -> dict[str, object]:
    """Return what log lines say of a mail."""
    return {
        "order_id": mail.order_id,
        "uid": str(mail.uid),
        "step": mail.step,
        "attempts": mail.attempts,
    }


def _reason(error: Exception) -> dict[str, str]:
    return {"reason": first_line(error)}
