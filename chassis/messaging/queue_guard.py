"""Checks that a consumer's queue is alive and has its bindings.

A dead quorum queue (its processes have ended, as after a full disk) looks healthy: it can be
declared, and consuming from it raises no error. But its consumer count is zero.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from pika.channel import Channel
from prometheus_client import Gauge

from chassis.errors import BrokerUnavailableError
from chassis.messaging import broker, declarations
from chassis.messaging.connection import BrokerConnection
from chassis.messaging.declarations import Topology, dead_letter_queue
from chassis.messaging.queue_depths import QueueDepths
from chassis.settings import BrokerSettings

WAITING = Gauge(
    "messages_waiting",
    "Messages that wait in a queue, not delivered yet, by its consumer; NaN while unknown",
    ["queue"],
)
DEAD_LETTERS = Gauge(
    "dead_letters_waiting",
    "Messages in the dead-letter queue of a queue, by its consumer; NaN while unknown",
    ["queue"],
)
STRANDED = Gauge(
    "messages_stranded",
    "Messages in a former queue and its dead-letter queue, which no process consumes any more",
    ["queue"],
)
CHECK_SECONDS = 5.0
_SILENT_SECONDS = 15.0
# a slow queue is also declared with no consumers
_MOST_CHECKS_WITHOUT_CONSUMER = 3
logger = logging.getLogger(__name__)


class _Consuming(Enum):
    NOT_YET = 1
    ASKED_FOR = 2
    BEGUN = 3


class QueueGuard:
    """Asks on its own channel; all methods but `check` run on the connection's thread."""

    def __init__(
        self, settings: BrokerSettings, topology: Topology, connection: BrokerConnection
    ) -> None:
        """Prepare a guard of `settings.queue`, which declares `topology` again periodically."""
        self._settings = settings
        self._queue = settings.queue
        self._waiting = WAITING.labels(settings.queue)
        self._dead_letters = DEAD_LETTERS.labels(settings.queue)
        self._former: list[str] = []
        self._other_depths = QueueDepths(
            [dead_letter_queue(settings.queue)], self._set_other_depths
        )
        self._topology = list(topology)
        self._connection = connection
        self._is_open = False
        self._consuming = _Consuming.NOT_YET
        self._fault = ""
        self._reason = ""
        self._checks_without_consumer = 0
        self._asked_at: float | None = None
        self._declare_at = 0.0
        self._side_channel: Channel | None = None

    def check(self) -> None:
        """Raise what is wrong if no message can arrive now."""
        asked_at = self._asked_at
        if self._fault:
            raise BrokerUnavailableError(self._fault)
        if not self._is_open:
            raise BrokerUnavailableError(broker.why_down(self._reason, self._settings))
        if asked_at is not None and time.monotonic() - asked_at > _SILENT_SECONDS:
            detail = f"{self._queue} has not answered for {time.monotonic() - asked_at:.0f} s"
            raise BrokerUnavailableError(detail)

    def watch_former(self, queues: Sequence[str]) -> None:
        """Also count messages in former queues; may be called on any thread."""
        self._former = list(queues)
        wanted = [self._queue, *queues]
        dead = [dead_letter_queue(queue) for queue in wanted]
        self._other_depths.watch([*dead, *queues])

    def opened(self, channel: Channel) -> None:
        """A connection is open, and its topology has just been declared."""
        self._is_open = True
        self._consuming = _Consuming.NOT_YET
        self._checks_without_consumer = 0
        self._asked_at = None
        self._declare_at = time.monotonic() + declarations.DECLARE_SECONDS
        self._connection.later(CHECK_SECONDS, lambda: self._check_queue(channel))

    def asked(self) -> None:
        """The consumer has asked the broker to deliver."""
        self._consuming = _Consuming.ASKED_FOR

    def begun(self) -> None:
        """The broker has agreed to deliver."""
        self._consuming = _Consuming.BEGUN
        self._fault = ""

    def paused(self) -> None:
        """The consumer has cancelled its subscription."""
        self._consuming = _Consuming.NOT_YET

    def delivered(self) -> None:
        """A message has arrived, so the queue is alive."""
        self._checks_without_consumer = 0

    def lost(self, reason: str) -> None:
        """The connection is lost."""
        # RabbitMQ closes the connection of a consumer of a dead queue
        if self._consuming is _Consuming.ASKED_FOR:
            self._fault = f"RabbitMQ delivers nothing from {self._queue}: {reason}"
        self._is_open = False
        self._consuming = _Consuming.NOT_YET
        self._reason = reason
        self._side_channel = None
        self._asked_at = None
        self._other_depths.lost()
        self._clear_depths()

    def _check_queue(self, channel: Channel) -> None:
        self._connection.later(CHECK_SECONDS, lambda: self._check_queue(channel))
        if self._consuming is _Consuming.NOT_YET:
            # the consumer waits for its database; the state of the queue is unknown
            self._fault = ""
        if self._asked_at is None and channel.is_open:
            self._asked_at = time.monotonic()
            self._on_side_channel(channel, self._ask)
        if channel.is_open:
            self._other_depths.look(channel)

    def _on_side_channel(self, channel: Channel, act: Callable[[Channel], None]) -> None:
        """Act on a separate channel, so that an error does not close the consumer's."""
        if self._side_channel is not None and self._side_channel.is_open:
            act(self._side_channel)
            return

        def opened(beside: Channel) -> None:
            self._side_channel = beside
            beside.add_on_close_callback(self._closed)
            act(beside)

        channel.connection.channel(on_open_callback=opened)

    def _closed(self, beside: Channel, reason: Exception) -> None:
        """The queue does not exist, or a declaration contradicts an existing object."""
        if beside is self._side_channel and beside.connection.is_open:
            self._asked_at = None
            extra = {"queue": self._queue, "reason": str(reason)}
            logger.warning("queue or bindings could not be declared", extra=extra)

    def _ask(self, beside: Channel) -> None:
        if time.monotonic() < self._declare_at:
            self._count_consumers(beside)
        else:
            self._declare_at = time.monotonic() + declarations.DECLARE_SECONDS
            declarations.declare(self._topology, beside, lambda: self._count_consumers(beside))

    def _count_consumers(self, beside: Channel) -> None:
        beside.queue_declare(self._queue, passive=True, callback=self._counted)

    def _counted(self, frame: Any) -> None:
        self._asked_at = None
        waiting, consumers = frame.method.message_count, frame.method.consumer_count
        # a dead queue is declared as empty and without consumers
        self._waiting.set(waiting if waiting or consumers else math.nan)
        if consumers or self._consuming is not _Consuming.BEGUN:
            self._checks_without_consumer = 0
            return
        self._checks_without_consumer += 1
        if self._checks_without_consumer >= _MOST_CHECKS_WITHOUT_CONSUMER:
            self._fault = f"{self._queue} is dead: it counts no consumer, though this one consumes"
            self._connection.end(self._fault)

    def _set_other_depths(self, depths: Mapping[str, int]) -> None:
        if self._checks_without_consumer or self._fault:
            # the count of its dead letters is wrong as well
            return
        self._dead_letters.set(depths.get(dead_letter_queue(self._queue), math.nan))
        for queue in self._former:
            STRANDED.labels(queue).set(_total(depths, queue))

    def _clear_depths(self) -> None:
        """Set NaN: a stale number or a zero would mislead."""
        self._waiting.set(math.nan)
        self._dead_letters.set(math.nan)


def _total(depths: Mapping[str, int], queue: str) -> int:
    """Return how many messages a queue and its dead letters have; 0 if it does not exist."""
    return depths.get(queue, 0) + depths.get(dead_letter_queue(queue), 0)
