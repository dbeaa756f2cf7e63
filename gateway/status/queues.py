"""How many messages wait in the queues, by passive declarations on a connection that is kept."""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, NamedTuple

from pika.channel import Channel

from chassis.errors import BrokerUnavailableError
from chassis.messaging.connection import Connection
from chassis.settings import BrokerSettings
from gateway.status import probe
from gateway.status.probe import AwayError

NAME = "gateway watch"


class Depth(NamedTuple):
    """How many messages wait in a queue, and how many consumers it has."""

    ready: int
    consumers: int


# what RabbitMQ says of a dead quorum queue; and of a living one that is empty and not consumed
NO_LIFE = Depth(0, 0)


class Depths(NamedTuple):
    """What the broker said; None for a queue that is not there."""

    milliseconds: float
    queues: Mapping[str, Depth | None]


class _Look:
    """One look at all queues, until the broker has answered for each."""

    def __init__(self, names: Sequence[str]) -> None:
        self.answer: Future[Mapping[str, Depth | None]] = Future()
        self._missing = set(names)
        self._found: dict[str, Depth | None] = {}

    def note(self, name: str, depth: Depth | None) -> None:
        """Note what was said of a queue."""
        self._found[name] = depth
        self._missing.discard(name)
        if not self._missing and not self.answer.done():
            self.answer.set_result(self._found)

    def fail(self, reason: str) -> None:
        """Give up."""
        if not self.answer.done():
            self.answer.set_exception(AwayError(reason))


class QueueWatch:
    """Keeps a connection, and a channel for each queue, since an error closes a channel."""

    def __init__(self, settings: BrokerSettings, names: Sequence[str]) -> None:
        self._names = list(names)
        self._changed = threading.Condition()
        self._opened: Channel | None = None
        self._failed = False  # the last attempt to connect
        self._reason = "not connected yet"
        self._look: _Look | None = None
        self._channels: dict[str, Channel] = {}
        self._connection = Connection(settings, NAME, [], self)

    def start(self) -> None:
        """Connect, in a thread."""
        self._connection.start()

    def close(self) -> None:
        """Close the connection; of a broker that does not answer, without waiting for it."""
        self._connection.close(probe.SECONDS)

    def look(self) -> Depths:
        """Ask the broker for all queues.

        Raises:
            AwayError: it is away, or does not answer in time.
        """
        began = time.monotonic()
        self._wait_for_connection()
        asked = time.perf_counter()
        look = self._current_look()
        try:
            queues = look.answer.result(max(0, began + probe.SECONDS - time.monotonic()))
        except FutureTimeoutError:
            raise AwayError(f"no answer within {probe.SECONDS:g} s") from None
        return Depths(round((time.perf_counter() - asked) * 1000, 2), queues)

    def _wait_for_connection(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._failed, probe.SECONDS)
            if self._opened is None:
                raise AwayError(self._reason)

    def _current_look(self) -> _Look:
        """Begin a look, unless the broker has not answered the last one yet."""
        if self._look is None or self._look.answer.done():
            self._look = _Look(self._names)
            self._call(self._look)
        return self._look

    def _call(self, look: _Look) -> None:
        try:
            self._connection.call(lambda: self._ask(look))
        except BrokerUnavailableError as error:
            look.fail(str(error))

    # What follows runs on the connection's thread.

    def opened(self, channel: Channel) -> None:
        """There is a connection."""
        with self._changed:
            self._opened, self._failed = channel, False
            self._changed.notify_all()

    def lost(self, reason: str) -> None:
        """There is none."""
        with self._changed:
            self._opened, self._failed, self._reason = None, True, reason
            self._changed.notify_all()
        self._channels.clear()
        if self._look is not None:
            self._look.fail(reason)

    def blocked(self, reason: str | None) -> None:
        """Publishers are blocked; this publishes nothing."""

    def _ask(self, look: _Look) -> None:
        if self._opened is None or not self._opened.is_open:
            look.fail(self._reason)
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
        """The queue is not there, or can't be looked at; or the connection is gone."""
        if beside.is_open:
            self._note(name, None)

    def _note(self, name: str, depth: Depth | None) -> None:
        if self._look is not None:
            self._look.note(name, depth)
