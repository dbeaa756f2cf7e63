"""Sends the due mails: claim, deliver, mark as sent; defer on failure, or dead-letter for good."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import product
from typing import Any, TypeVar
from uuid import UUID, uuid4

from prometheus_client import Counter, Gauge
from sqlalchemy import Connection

from chassis import trace
from chassis.errors import first_line
from chassis.messaging import dead_letters
from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from chassis.schema.decoding import decode
from chassis.storage import database
from chassis.storage.database import Database
from orders.allowed_transitions import STEPS, event_of
from orders.mail import claims
from orders.mail import table as mails
from orders.mail.claims import Mail
from orders.mail.message import compose, mail_name
from orders.mail.transport import DeferredError, OutgoingMail, RefusedError, Transport
from orders.mail.worker_loop import retry_wait

MAILS = Counter("mails_total", "Attempts to send a mail, by step and outcome", ["step", "outcome"])
OUTCOMES = ("sent", "deferred", "refused")
OPEN = Gauge("mails_open", "Mails that are not sent yet, by state", ["state"])
GIVE_UP = timedelta(days=5)
"""RFC 5321, section 4.5.4.1."""
_STOP_SECONDS = 5.0  # from the order to stop: to record the outcome of a mail
_RETRY_SECONDS = 0.5
_Result = TypeVar("_Result")
logger = logging.getLogger(__name__)


class Sender:
    """Sends mails, one at a time in each thread that calls `work`."""

    def __init__(
        self,
        database: Database,
        transport: Transport,
        sender: str,
        dead_letter_queue: str,
        stop: threading.Event,
    ) -> None:
        """Prepare a sender.

        Args:
            database: where the mails are.
            transport: delivers them.
            sender: the From header.
            dead_letter_queue: for refused mails.
            stop: set to end the process.
        """
        self._database = database
        self._transport = transport
        self._sender = sender
        self._dead_letter_queue = dead_letter_queue
        self._stop = stop
        # a local delivery happens under the row's lock: no holder of a lost claim delivers
        self._grace = None if transport.is_local else claims.GRACE
        # when each was last known to be valid, by the monotonic clock
        self._claims: dict[UUID, float] = {}
        self._lock = threading.Lock()
        # zero from the start: for Prometheus a counter that begins with 1 has not increased
        for step, outcome in product(STEPS, OUTCOMES):
            MAILS.labels(step, outcome)

    def work(self) -> bool:
        """Claim a mail and send it; False if none is due."""
        with self._database.transaction() as connection:
            mail = claims.claim(connection, self._transport.lease, grace=self._grace)
        if mail is None:
            return False
        with trace.within(trace.continued(mail.headers)), self._held(mail):
            self._send(mail)
        return True

    def renew_claims(self) -> bool:
        """Renew the claims on mails that are being sent, and count the open mails; False."""
        now = time.monotonic()
        with self._lock:
            held = list(self._claims)
        with self._database.autocommit() as connection:
            renewed = claims.renew(connection, held, self._transport.lease)
            with self._lock:
                self._claims |= dict.fromkeys(renewed & self._claims.keys(), now)
            for state, count in mails.count_open(connection).items():
                OPEN.labels(state).set(count)
        return False

    @contextmanager
    def _held(self, mail: Mail) -> Iterator[None]:
        assert mail.claim is not None
        with self._lock:
            self._claims[mail.claim] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._claims.pop(mail.claim)

    def _is_held(self, mail: Mail) -> bool:
        """Return whether the claim on a mail is valid for at least another half lease."""
        assert mail.claim is not None
        with self._lock:
            age = time.monotonic() - self._claims.get(mail.claim, float("-inf"))
        return age < self._transport.lease.total_seconds() / 2

    def _send(self, mail: Mail) -> None:
        try:
            outgoing = self._composed(mail)
            if not self._transport.is_local:
                self._transport.deliver(outgoing)
            self._finish(mail, outgoing)
        except DeferredError as error:
            self._defer(mail, str(error))
        except RefusedError as error:
            self._refuse(mail, str(error))

    def _composed(self, mail: Mail) -> OutgoingMail:
        try:
            message = compose(
                mail.order(), mail.step, self._sender, mail.recipient or "", mail.recorded_at
            )
            recipient = message["To"].addresses[0].addr_spec
        except Exception as error:
            # any error is the mail's own: the same data fail the same way each time
            raise RefusedError(f"the mail can't be written: {_fault(error)}") from error
        name, is_held = mail_name(mail.uid, mail.step), partial(self._is_held, mail)
        return OutgoingMail(name, recipient, message, mail.attempts > 1, is_held)

    def _finish(self, mail: Mail, outgoing: OutgoingMail) -> None:
        if not self._persist(lambda connection: self._mark_sent(connection, mail, outgoing)):
            logger.info("another worker has taken the mail", extra=_extra(mail))
            return
        MAILS.labels(mail.step, "sent").inc()
        extra = _extra(mail) | {"to": outgoing.recipient, "transport": self._transport.name}
        logger.info("mail sent", extra=extra)

    def _mark_sent(self, connection: Connection, mail: Mail, outgoing: OutgoingMail) -> bool:
        """Mark a mail as sent, a local delivery included; False if its claim is lost."""
        if self._transport.is_local:
            if not claims.lock(connection, mail):
                return False
            self._transport.deliver(outgoing)
        claims.mark_sent(connection, mail)
        return True

    def _defer(self, mail: Mail, reason: str) -> None:
        if datetime.now(timezone.utc) - mail.recorded_at > GIVE_UP:
            self._refuse(mail, f"given up after {GIVE_UP.days} days: {reason}")
            return
        wait = retry_wait(mail.attempts, random.random())
        self._persist(lambda connection: claims.defer(connection, mail, reason, wait))
        MAILS.labels(mail.step, "deferred").inc()
        extra = _extra(mail) | {"reason": reason, "seconds": round(wait.total_seconds(), 1)}
        logger.warning("mail deferred", extra=extra)

    def _refuse(self, mail: Mail, reason: str) -> None:
        self._persist(lambda connection: self._dead_letter(connection, mail, reason))
        MAILS.labels(mail.step, "refused").inc()
        logger.error("mail refused", extra=_extra(mail) | {"reason": reason})

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
            routing_key=self._dead_letter_queue,
            id=uuid4(),
            mandatory=True,
        )
        return replace(message, headers={**message.headers, **dead_letters.why(reason)})

    def _persist(self, act: Callable[[Connection], _Result]) -> _Result:
        """Commit the outcome of a mail, however long the database is unavailable."""
        end = None
        while True:
            try:
                with self._database.transaction() as connection:
                    return act(connection)
            except Exception as error:
                if not database.is_outage(error):
                    raise
                if end is None and self._stop.is_set():
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


def _extra(mail: Mail) -> dict[str, object]:
    return {
        "order_id": mail.order_id,
        "uid": str(mail.uid),
        "step": mail.step,
        "attempts": mail.attempts,
    }


def _fault(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _reason(error: Exception) -> dict[str, str]:
    return {"reason": first_line(error)}
