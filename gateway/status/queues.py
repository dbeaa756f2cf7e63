"""The depths of queues, read by passive declarations on a kept connection.

A dead queue looks empty here. Its consumer notices: chassis/messaging/queue_guard.py.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, NamedTuple

from pika.channel import Channel

from chassis.errors import BrokerUnavailableError
from chassis.messaging.connection import BrokerConnection
from chassis.settings import BrokerSettings
from gateway.status import probe
from gateway.status.probe import ProbeError

NAME = "gateway watch"


class Depth(NamedTuple):
    """How many messages wait in a queue, and how many consumers it has."""

    ready: int
    consumers: int


# RabbitMQ reports this for a dead quorum queue, and for a live one that is empty and not consumed
DEAD_OR_IDLE = Depth(0, 0)


class Depths(NamedTuple):
    """The depths of all queues; None for a queue that does not exist."""

    milliseconds: float
    queues: Mapping[str, Depth | None]


class _Reading:
    """One reading of all queues; it ends when the broker has answered for each."""

    def __init__(self, names: Sequence[str]) -> None:
        self.answer: Future[Mapping[str, Depth | None]] = Future()
        self._missing = set(names)
        self._found: dict[str, Depth | None] = {}

    def note(self, name: str, depth: Depth | None) -> None:
        """Note the depth of a queue."""
        self._found[name] = depth
        self._missing.discard(name)
        if not self._missing and not self.answer.done():
            self.answer.set_result(self._found)

    def fail(self, reason: str) -> None:
        """End without depths."""
        if not self.answer.done():
            self.answer.set_exception(ProbeError(reason))


class QueueProbe:
    """Reads depths on one connection, with a channel for each queue: an error closes a channel."""

    def __init__(self, settings: BrokerSettings, names: Sequence[str]) -> None:
        self._names = list(names)
        self._changed = threading.Condition()
        self._opened: Channel | None = None
        self._failed = False  # the last attempt to connect
        self._reason = "not connected yet"
        self._reading: _Reading | None = None
        self._channels: dict[str, Channel] = {}
        self._connection = BrokerConnection(settings, NAME, [], self)

    def start(self) -> None:
        """Connect, in a thread."""
        self._connection.start()

    def close(self) -> None:
        """Close the connection; do not wait long for a broker that does not answer."""
        self._connection.close(probe.SECONDS)

    def read(self) -> Depths:
        """Return the depths of all queues.

        Raises:
            ProbeError: the broker is unavailable, or does not answer in time.
        """
        began = time.monotonic()
        self._wait_for_connection()
        asked = time.perf_counter()
        reading = self._current_reading()
        try:
            queues = reading.answer.result(max(0, began + probe.SECONDS - time.monotonic()))
        except FutureTimeoutError:
            raise ProbeError(f"no answer within {probe.SECONDS:g} s") from None
        return Depths(round((time.perf_counter() - asked) * 1000, 2), queues)

    def _wait_for_connection(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._failed, probe.SECONDS)
            if self._opened is None:
                raise ProbeError(self._reason)

    def _current_reading(self) -> _Reading:
        """Begin a reading, unless the broker has not answered the last one yet."""
        if self._reading is None or self._reading.answer.done():
            self._reading = _Reading(self._names)
            self._call(self._reading)
        return self._reading

    def _call(self, reading: _Reading) -> None:
        try:
            self._connection.call(lambda: self._ask(reading))
        except BrokerUnavailableError as error:
            reading.fail(str(error))

    # What follows runs on the connection's thread.

    def opened(self, channel: Channel) -> None:
        """Note that the connection is open."""
        with self._changed:
            self._opened, self._failed = channel, False
            self._changed.notify_all()

    def lost(self, reason: str) -> None:
        """Note that the connection is lost."""
        with self._changed:
            self._opened, self._failed, self._reason = None, True, reason
            self._changed.notify_all()
        self._channels.clear()
        if self._reading is not None:
            self._reading.fail(reason)

    def blocked(self, reason: str | None) -> None:
        """Ignore that publishers are blocked: a probe publishes nothing."""

    def _ask(self, reading: _Reading) -> None:
        if self._opened is None or not self._opened.is_open:
            reading.fail(self._reason)
            return
        for name in self._names:
            channel = self._channels.get(name)
            if channel is not None and channel.is_open:
                self._declare(name, channel)
            else:
                self._open(name, self._opened)

    def _open(self, name: str, beside: Channel) -> None:
        def opened(channel: Channel) -> None:
            self._channels[name] = channel
            channel.add_on_close_callback(lambda _channel, _reason: self._closed(name, beside))
            self._declare(name, channel)

        beside.connection.channel(on_open_callback=opened)

    def _declare(self, name: str, channel: Channel) -> None:
        def declared(frame: Any) -> None:
            self._note(name, Depth(frame.method.message_count, frame.method.consumer_count))

        channel.queue_declare(name, passive=True, callback=declared)

    def _closed(self, name: str, beside: Channel) -> None:
        """Note that a queue is missing or unreadable, unless the whole connection is closed."""
        if beside.is_open:
            self._note(name, None)

    def _note(self, name: str, depth: Depth | None) -> None:
        if self._reading is not None:
            self._reading.note(name, depth)
