"""Publisher confirms: which messages of a channel are not answered yet.

Source: https://www.rabbitmq.com/docs/confirms. Used on the connection's thread only.
"""

import time
from collections import OrderedDict, defaultdict
from concurrent.futures import Future
from typing import NamedTuple

from prometheus_client import Counter

from chassis.errors import BrokerUnavailableError, ConnectionLostError
from chassis.messaging.message import Message
from chassis.messaging.refused_destinations import Refusals

PUBLISHED = Counter(
    "messages_published_total", "Messages handed to the broker, by outcome", ["outcome"]
)
Pending = Future[None]


class _Unanswered(NamedTuple):
    message_id: str
    destination: str
    since: float
    future: Pending


class Confirms:
    """The unanswered messages of one channel, in the order of their delivery tags."""

    def __init__(self) -> None:
        self.refusals = Refusals()
        self._pending: OrderedDict[int, _Unanswered] = OrderedDict()
        # a message may be published again while an earlier attempt is unanswered
        self._tags: defaultdict[str, set[int]] = defaultdict(set)
        self._tag = 0

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, message: Message, future: Pending) -> None:
        """Add a message that was just published; delivery tags of a channel count from 1."""
        self._tag += 1
        self._pending[self._tag] = _Unanswered(
            message.id, message.destination, time.monotonic(), future
        )
        self._tags[message.id].add(self._tag)

    def overdue(self, since: float) -> str | None:
        """Return the destination of a message published before `since` (monotonic), if any."""
        oldest = next(iter(self._pending.values()), None)
        return oldest.destination if oldest is not None and oldest.since < since else None

    def settle(self, tag: int, multiple: bool, acknowledged: bool) -> None:
        """Handle the broker's answer for `tag`, or for all tags up to it."""
        for settled in self._up_to(tag) if multiple else [tag]:
            answered = self._pop(settled)
            if not acknowledged:
                self.refusals.note(answered.destination)
                fail(answered.future, "RabbitMQ refused the message (nack)")
                continue
            self.refusals.forget(answered.destination)
            if not answered.future.done():
                PUBLISHED.labels("confirmed").inc()
                answered.future.set_result(None)

    def _pop(self, tag: int) -> _Unanswered:
        answered = self._pending.pop(tag)
        tags = self._tags[answered.message_id]
        tags.discard(tag)
        if not tags:
            del self._tags[answered.message_id]
        return answered

    def _up_to(self, tag: int) -> list[int]:
        tags = []
        for pending in self._pending:
            if pending > tag:
                break
            tags.append(pending)
        return tags

    def returned(self, message_id: str) -> None:
        """Fail a message that no queue took; the broker returns it before it confirms."""
        for tag in self._tags.get(message_id, ()):
            fail(self._pending[tag].future, "no queue took the message")

    def fail_all(self, reason: str) -> None:
        """Fail all: the channel is lost, and no answer will come."""
        pending = list(self._pending.values())
        self._pending.clear()
        self._tags.clear()
        self._tag = 0
        for unanswered in pending:
            _fail(unanswered.future, ConnectionLostError(reason))


def fail(future: Pending, reason: str) -> None:
    """Fail the future of a message that the broker has not accepted."""
    _fail(future, BrokerUnavailableError(reason))


def _fail(future: Pending, error: BrokerUnavailableError) -> None:
    if not future.done():
        PUBLISHED.labels("failed").inc()
        future.set_exception(error)
