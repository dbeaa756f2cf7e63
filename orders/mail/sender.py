"""Sends the mails that are due: claim, deliver, mark; later what can't be now, aside what never."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import product
from typing import Any
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
from orders.mail import claims as mail_claims
from orders.mail import table as mails
from orders.mail.claims import Mail
from orders.mail.loop import pause
from orders.mail.message import STEPS, compose, name_of
from orders.mail.transport import DeferredError, Letter, RefusedError, Transport

MAILS = Counter("mails_total", "Attempts to send a mail, by step and outcome", ["step", "outcome"])
OUTCOMES = ("sent", "deferred", "refused")
OPEN = Gauge("mails_open", "Mails that are not sent yet, by state", ["state"])
GIVE_UP = timedelta(days=5)
"""RFC 5321, section 4.5.4.1."""
_STOP_SECONDS = 5.0  # that a mail which is sent has for being marked after the order to stop
_RETRY_SECONDS = 0.5
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
            transport: the way that they go.
            sender: from whom they are.
            dead_letter_queue: for those that are refused.
            stop: set when the process shall end.
        """
        self._database = database
        self._transport = transport
        self._sender = sender
        self._dead_letter_queue = dead_letter_queue
        self._stop = stop
        # what is delivered under the row's lock is delivered by nobody whose claim was taken
        self._doubt = None if transport.is_local else mail_claims.DOUBT
        # when each was last known to hold, by the clock that never jumps
        self._claims: dict[UUID, float] = {}
        self._lock = threading.Lock()
        # from the start: for Prometheus a counter that begins with 1 has not increased
        for step, outcome in product(STEPS, OUTCOMES):
            MAILS.labels(step, outcome)

    def work(self) -> bool:
        """Claim a mail and send it; False if none is due."""
        with self._database.unit_of_work() as connection:
            mail = mail_claims.claim(connection, self._transport.lease, doubt=self._doubt)
            connection.commit()
        if mail is None:
            return False
        with trace.within(trace.continued(mail.headers)), self._held(mail):
            self._send(mail)
        return True

    def keep(self) -> bool:
        """Renew the claims on mails that are being sent, and count what waits; to be repeated."""
        now = time.monotonic()
        with self._lock:
            held = list(self._claims)
        with self._database.read() as connection:
            renewed = mail_claims.renew(connection, held, self._transport.lease)
            with self._lock:
                self._claims |= dict.fromkeys(renewed & self._claims.keys(), now)
            for state, count in mails.waiting(connection).items():
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
        """Tell whether a mail is this sender's for longer than it takes to begin sending it."""
        assert mail.claim is not None
        with self._lock:
            age = time.monotonic() - self._claims.get(mail.claim, float("-inf"))
        return age < self._transport.lease.total_seconds() / 2

    def _send(self, mail: Mail) -> None:
        try:
            letter = self._letter(mail)
            if not self._transport.is_local:
                self._transport.deliver(letter)
            self._insist(lambda connection: self._finish(connection, mail, letter))
        except DeferredError as error:
            self._put_off(mail, str(error))
        except RefusedError as error:
            self._refuse(mail, str(error))

    def _letter(self, mail: Mail) -> Letter:
        try:
            message = compose(
                mail.order(), mail.step, self._sender, mail.recipient or "", mail.recorded_at
            )
            recipient = message["To"].addresses[0].addr_spec
        except Exception as error:
            # whatever it is, it is this mail's: the same data make the same fault each time
            raise RefusedError(f"the mail can't be written: {_fault(error)}") from error
        name, is_held = name_of(mail.uid, mail.step), partial(self._is_held, mail)
        return Letter(name, recipient, message, mail.attempts > 1, is_held)

    def _finish(self, connection: Connection, mail: Mail, letter: Letter) -> None:
        if self._transport.is_local:
            if not mail_claims.lock(connection, mail):
                logger.info("another worker has taken the mail", extra=_extra(mail))
                return
            self._transport.deliver(letter)
        mail_claims.mark_sent(connection, mail)
        connection.commit()
        MAILS.labels(mail.step, "sent").inc()
        extra = _extra(mail) | {"to": letter.recipient, "transport": self._transport.name}
        logger.info("mail sent", extra=extra)

    def _put_off(self, mail: Mail, reason: str) -> None:
        if datetime.now(timezone.utc) - mail.recorded_at > GIVE_UP:
            self._refuse(mail, f"given up after {GIVE_UP.days} days: {reason}")
            return
        wait = pause(mail.attempts)
        self._insist(lambda connection: _put_off(connection, mail, reason, wait))
        MAILS.labels(mail.step, "deferred").inc()
        extra = _extra(mail) | {"reason": reason, "seconds": round(wait.total_seconds(), 1)}
        logger.warning("mail put off", extra=extra)

    def _refuse(self, mail: Mail, reason: str) -> None:
        self._insist(lambda connection: self._put_aside(connection, mail, reason))
        MAILS.labels(mail.step, "refused").inc()
        logger.error("mail refused", extra=_extra(mail) | {"reason": reason})

    def _put_aside(self, connection: Connection, mail: Mail, reason: str) -> None:
        letter = self._dead_letter(mail, reason)
        if mail_claims.mark_refused(connection, mail, reason, letter.id):
            outbox.add(connection, letter)
        connection.commit()

    def _dead_letter(self, mail: Mail, reason: str) -> Message:
        """Make the mail's event anew: with an id of its own, it counts if it is sent back."""
        letter = event(
            "",
            f"order.{mail.step}",
            "mail-worker",
            _told(mail),
            routing_key=self._dead_letter_queue,
            id=uuid4(),
            mandatory=True,
        )
        return replace(letter, headers={**letter.headers, **dead_letters.why(reason)})

    def _insist(self, act: Callable[[Connection], None]) -> None:
        """Write down what became of a mail, however long the database is away."""
        end = None
        while True:
            try:
                with self._database.unit_of_work() as connection:
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


def _told(mail: Mail) -> Any:
    """Return what the mail's event said; if that can't be read, what the row says of it."""
    try:
        return decode(mail.data)
    except ValueError:
        return {"uid": mail.uid, "order_id": mail.order_id, "customer_id": mail.customer_id}


def _put_off(connection: Connection, mail: Mail, reason: str, wait: timedelta) -> None:
    mail_claims.put_off(connection, mail, reason, wait)
    connection.commit()


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
