"""Sends the due mails: claim, deliver, mark as sent; defer on failure, or dead-letter for good.

Mails for a local directory are claimed, delivered and marked many at a time. Those for a mail
server go one by one, each marked as soon as it is accepted: an interruption repeats at most one.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import chain, product, repeat
from typing import NamedTuple
from uuid import UUID

from prometheus_client import Gauge
from sqlalchemy import Connection

from chassis import trace
from chassis.gathering import pause_after
from chassis.storage import database
from chassis.storage.database import Database
from orders.allowed_transitions import STEPS
from orders.mail import claims
from orders.mail import table as mails
from orders.mail.claims import Mail
from orders.mail.message import mail_name, render
from orders.mail.outcomes import MAILS, OUTCOMES, Outcomes, extra_of
from orders.mail.transport import (
    DeferredError,
    LocalTransport,
    OutgoingMail,
    RefusedError,
    RemoteTransport,
    Transport,
)

OPEN = Gauge("mails_open", "Mails that are not sent yet, by state", ["state"])
BATCH = 50
"""How many mails are delivered together at most."""
logger = logging.getLogger(__name__)


class Letter(NamedTuple):
    """A claimed mail, and what is delivered."""

    mail: Mail
    outgoing: OutgoingMail

    def again(self) -> "Letter":
        """Return the letter for another attempt, since this one may have succeeded unnoticed."""
        return self._replace(outgoing=self.outgoing._replace(is_repeated=True))


class Sender:
    """Sends mails in each thread that calls `work`: over the network one at a time."""

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
        self._stop = stop
        self._outcomes = Outcomes(database, transport.name, dead_letter_queue, stop)
        # a local delivery happens under the row's lock: no holder of a lost claim delivers
        self._grace = None if transport.is_local else claims.GRACE
        # when each was last known to be valid, by the monotonic clock
        self._claims: dict[UUID, float] = {}
        self._lock = threading.Lock()
        # zero from the start: for Prometheus a counter that begins with 1 has not increased
        for step, outcome in product(STEPS, OUTCOMES):
            MAILS.labels(step, outcome)

    def work(self) -> bool:
        """Claim mails and send them; False if none is due."""
        began = time.monotonic()
        lease, limit = self._transport.lease, BATCH if self._transport.is_local else 1
        with self._database.transaction() as connection:
            claimed = claims.claim(connection, lease, grace=self._grace, limit=limit)
        if not claimed:
            return False
        with self._held(claimed[0]):
            self._send(claimed)
        self._stop.wait(pause_after(len(claimed), time.monotonic() - began))
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

    def _send(self, claimed: Sequence[Mail]) -> None:
        composed = []
        for mail in claimed:
            with _traced(mail):
                try:
                    composed.append(Letter(mail, self._composed(mail)))
                except RefusedError as error:
                    self._outcomes.refuse(mail, str(error))
        if self._transport.is_local:
            self._file(self._transport, composed)
        else:
            for letter in composed:
                with _traced(letter.mail):
                    self._hand_over(self._transport, letter)

    def _composed(self, mail: Mail) -> OutgoingMail:
        try:
            recipient, content = render(
                mail.order(), mail.step, self._sender, mail.recipient or "", mail.recorded_at
            )
        except Exception as error:
            # any error is the mail's own: the same data fail the same way each time
            raise RefusedError(f"the mail can't be written: {_fault(error)}") from error
        name, is_held = mail_name(mail.uid, mail.step), partial(self._is_held, mail)
        return OutgoingMail(name, recipient, content, mail.attempts > 1, is_held)

    def _hand_over(self, transport: RemoteTransport, letter: Letter) -> None:
        """Send a mail over the network, then mark it as sent."""
        mail = letter.mail
        try:
            transport.deliver(letter.outgoing)
        except DeferredError as error:
            self._outcomes.defer(mail, str(error))
        except RefusedError as error:
            self._outcomes.refuse(mail, str(error))
        else:
            self._outcomes.persist(lambda connection: claims.mark_sent(connection, [mail]))
            self._outcomes.note_sent(letter.mail, letter.outgoing.recipient)

    def _file(self, transport: LocalTransport, letters: Sequence[Letter]) -> None:
        """Deliver mails and mark them as sent, together; if that fails, one by one."""
        if not letters:
            return
        try:
            self._file_together(transport, letters)
            return
        except DeferredError as error:
            if len(letters) == 1:
                self._outcomes.defer(letters[0].mail, str(error))
                return
        except Exception as error:
            # one of them may be at fault
            if len(letters) == 1 or (database.is_outage(error) and not database.is_doubtful(error)):
                raise
        for letter in letters:
            with _traced(letter.mail):
                self._file_alone(transport, letter.again())

    def _file_alone(self, transport: LocalTransport, letter: Letter) -> None:
        try:
            self._file(transport, [letter])
        except Exception as error:
            if database.is_outage(error) and not database.is_doubtful(error):
                raise
            # its claim ends with the lease; the others go on
            logger.exception("a mail can't be worked on", extra=extra_of(letter.mail))

    def _file_together(self, transport: LocalTransport, letters: Sequence[Letter]) -> None:
        attempts = chain([letters], repeat([letter.again() for letter in letters]))

        def act(connection: Connection) -> list[Mail]:
            return _file(connection, transport, next(attempts))

        filed = {mail.id for mail in self._outcomes.persist(act, unless=database.is_doubtful)}
        for letter in letters:
            with _traced(letter.mail):
                if letter.mail.id in filed:
                    self._outcomes.note_sent(letter.mail, letter.outgoing.recipient)
                else:
                    logger.info("another worker has taken the mail", extra=extra_of(letter.mail))


def _file(
    connection: Connection, transport: LocalTransport, letters: Sequence[Letter]
) -> list[Mail]:
    """Deliver the mails that are still claimed, mark them as sent, and return them."""
    held = claims.lock(connection, [letter.mail for letter in letters])
    ids = {mail.id for mail in held}
    mine = [letter for letter in letters if letter.mail.id in ids]
    if mine:
        transport.deliver_all([letter.outgoing for letter in mine])
        claims.mark_sent(connection, held)
    return held


def _traced(mail: Mail) -> AbstractContextManager[object]:
    return trace.within(trace.continued(mail.headers))


def _fault(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
