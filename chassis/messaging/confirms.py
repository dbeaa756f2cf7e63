"""Publisher confirms: which messages of a channel are not answered yet.

Source: https://www.rabbitmq.com/docs/confirms. Used on the connection's thread only.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import Counter

from chassis.errors import BrokerUnavailableError, ConnectionLostError
from chassis.messaging.message import Message
from chassis.messaging.refused_destinations import Refusals

PUBLISHED = Counter(
    "messages_published_total", "Messages handed to the broker, by outcome", ["outcome"]
)
_CONFIRMED, _FAILED = PUBLISHED.labels("confirmed"), PUBLISHED.labels("failed")
Answered = Callable[[BrokerUnavailableError | None], object]


class Pending:
    """A message that was handed over; its first answer counts."""

    __slots__ = ("_answered", "is_done")

    def __init__(self, answered: Answered) -> None:
        """Wait for the answer.

        Args:
            answered: called once, with None if the broker has confirmed the message, or with the
                error.
        """
        self._answered = answered
        self.is_done = False

    def confirm(self) -> None:
        """The broker has confirmed the message."""
        if not self.is_done:
            self.is_done = True
            _CONFIRMED.inc()
            self._answered(None)

    def fail(self, error: BrokerUnavailableError) -> None:
        """The broker has not accepted the message."""
        if not self.is_done:
            self.is_done = True
            _FAILED.inc()
            self._answered(error)


class Answer:
    """The answer to a message, for a thread that waits for it.

    Own code: a Future makes and takes three locks for what one can do.
    """

    __slots__ = ("_error", "_waits")

    def __init__(self) -> None:
        self._error: BrokerUnavailableError | None = None
        self._waits = threading.Lock()
        self._waits.acquire()

    def give(self, error: BrokerUnavailableError | None) -> None:
        """Note that the broker has confirmed the message (None), or the error; called once."""
        self._error = error
        self._waits.release()

    def failure(self, seconds: float) -> BrokerUnavailableError | None:
        """Return the error, None if the broker has confirmed the message.

        Raises:
            TimeoutError: there is no answer within `seconds`.
        """
        if not self._waits.acquire(timeout=seconds):
            raise TimeoutError
        self._waits.release()
        return self._error


class _Unanswered(NamedTuple):
    message_id: str
    destination: str
    since: float
    pending: Pending


class Confirms:
    """The unanswered messages of one channel, in the order of their delivery tags."""

    def __init__(self) -> None:
        self.refusals = Refusals()
        self._pending: OrderedDict[int, _Unanswered] = OrderedDict()
        self._tag = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, message: Message, pending: Pending) -> None:
        """Add a message that was just published; delivery tags of a channel count from 1."""
        self._tag += 1
        self._pending[self._tag] = _Unanswered(
            message.id, message.destination, time.monotonic(), pending
        )

    def overdue(self, since: float) -> str | None:
        """Return the destination of a message published before `since` (monotonic), if any."""
        oldest = next(iter(self._pending.values()), None)
        return oldest.destination if oldest is not None and oldest.since < since else None

    def settle(self, tag: int, multiple: bool, acknowledged: bool) -> None:
        """Handle the broker's answer for `tag`, or for all tags up to it."""
        for settled in self._up_to(tag) if multiple else [tag]:
            answered = self._pending.pop(settled)
            if acknowledged:
                self.refusals.forget(answered.destination)
                answered.pending.confirm()
            else:
                self.refusals.note(answered.destination)
                fail(answered.pending, "RabbitMQ refused the message (nack)")

    def _up_to(self, tag: int) -> list[int]:
        tags = []
        for pending in self._pending:
            if pending > tag:
                break
            tags.append(pending)
        return tags

    def returned(self, message_id: str) -> None:
        """Fail a message that no queue took; the broker returns it before it confirms.

        It may be published again while an earlier attempt is unanswered: then both fail.
        """
        for unanswered in list(self._pending.values()):
            if unanswered.message_id == message_id:
                fail(unanswered.pending, "no queue took the message")

    def fail_all(self, reason: str) -> None:
        """Fail all: the channel is lost, and no answer will come."""
        unanswered = list(self._pending.values())
        self._pending.clear()
        self._tag = 0
        for each in unanswered:
            each.pending.fail(ConnectionLostError(reason))


def fail(pending: Pending, reason: str) -> None:
    """Note that the broker has not accepted a message."""
    pending.fail(BrokerUnavailableError(reason))
