"""A connection to RabbitMQ in its own thread, which reconnects whenever it is lost."""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from pika import SelectConnection
from pika.channel import Channel

from chassis.backoff import Backoff
from chassis.errors import BrokerUnavailableError
from chassis.messaging import broker
from chassis.messaging.declarations import Topology, declare
from chassis.messaging.frames import FrameConnection
from chassis.settings import BrokerSettings

_LONGEST_PAUSE = 2.0  # seconds between attempts
logger = logging.getLogger(__name__)


class ConnectionListener(Protocol):
    """The user of a connection; its methods are called on the connection's thread."""

    def opened(self, channel: Channel) -> None:
        """A channel is open, and the topology is declared."""

    def lost(self, reason: str) -> None:
        """Channel and connection are lost; called once for each attempt that ends."""

    def blocked(self, reason: str | None) -> None:
        """The broker blocks publishers (`reason`), or unblocks them (None)."""


class BrokerConnection:
    """Keeps one connection with one channel, until it is closed.

    It must be started after the process has forked, never before.
    """

    def __init__(
        self, settings: BrokerSettings, name: str, topology: Topology, listener: ConnectionListener
    ) -> None:
        # each attempt takes the next host
        self._parameters = itertools.cycle(broker.parameters(settings, name))
        self._name = name
        self._topology = list(topology)
        self._listener = listener
        self._closing = threading.Event()
        self._backoff = Backoff(longest=_LONGEST_PAUSE)
        self._connection: SelectConnection | None = None
        self._reason = "not connected yet"
        self._channel_reason = ""
        self._last_logged = ""
        self._ready_at: float | None = None  # on the monotonic clock
        self._failed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def has_failed(self) -> bool:
        """Return whether an error in this process has ended a connection; resets the answer."""
        failed, self._failed = self._failed, False
        return failed

    def call(self, action: Callable[[], None]) -> None:
        """Run `action` on the connection's thread, from any thread.

        Raises:
            BrokerUnavailableError: there is no connection at this moment.
        """
        connection = self._connection
        if connection is None:
            raise BrokerUnavailableError(f"RabbitMQ is unavailable: {self._reason}")
        connection.ioloop.add_callback_threadsafe(action)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` after `seconds`; must be called on the connection's thread."""
        if self._connection is not None:
            self._connection.ioloop.call_later(seconds, action)

    def end(self, reason: str) -> None:
        """Close this connection and reconnect; must be called on the connection's thread."""
        connection = self._connection
        if connection is not None and connection.is_open:
            self._channel_reason = reason
            connection.close(reply_text=reason[:200])

    def close(self, timeout: float = 5) -> None:
        """Close the connection after the calls before this one, and end the thread."""
        self._closing.set()
        connection = self._connection
        if connection is not None:
            connection.ioloop.add_callback_threadsafe(lambda: _close(connection))
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._ready_at = None
            self._connect_once()
            self._listener.lost(self._reason)
            # after a short-lived connection, wait longer before the next one
            if self._ready_at is not None and time.monotonic() - self._ready_at > _LONGEST_PAUSE:
                self._backoff.reset()
            self._closing.wait(self._backoff.next())

    def _connect_once(self) -> None:
        self._channel_reason = ""
        connection = None
        try:
            self._connection = connection = self._new()
            if self._closing.is_set():
                # too late for `close` to have seen it
                _close(connection)
            connection.ioloop.start()
        except Exception as error:
            self._note_failure()
            logger.exception("broker connection failed unexpectedly")
            self._reason = str(error) or type(error).__name__
        finally:
            self._connection = None
            if connection is not None:
                connection.ioloop.close()

    def _new(self) -> SelectConnection:
        connection = _Reading(
            next(self._parameters),
            on_failure=self._note_failure,
            on_open_callback=self._opened,
            on_open_error_callback=self._ended,
            on_close_callback=self._ended,
        )
        connection.add_on_connection_blocked_callback(lambda _c, frame: self._blocked(frame))
        connection.add_on_connection_unblocked_callback(
            lambda _c, _frame: self._listener.blocked(None)
        )
        return connection

    def _note_failure(self) -> None:
        self._failed = True

    def _opened(self, connection: SelectConnection) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._channel_closed)
        declare(self._topology, channel, lambda: self._ready(channel))

    def _ready(self, channel: Channel) -> None:
        self._ready_at = time.monotonic()
        self._last_logged = ""
        logger.info("connected to the broker", extra={"connection": self._name})
        self._listener.opened(channel)

    def _blocked(self, frame: Any) -> None:
        reason = frame.method.reason
        logger.warning("broker blocks publishers", extra={"reason": reason})
        self._listener.blocked(reason)

    def _channel_closed(self, channel: Channel, reason: Exception) -> None:
        if channel.connection.is_open:
            self.end(str(reason))

    def _ended(self, connection: SelectConnection, reason: object) -> None:
        self._reason = self._channel_reason or broker.root_cause(reason)
        if not self._closing.is_set() and self._last_logged != self._reason:
            self._last_logged = self._reason
            extra = {"connection": self._name, "reason": self._reason}
            logger.warning("broker connection lost", extra=extra)
        connection.ioloop.stop()


class _Reading(FrameConnection):
    """Reports an error in handling received data, which pika reports as a lost connection."""

    def __init__(self, *arguments: Any, on_failure: Callable[[], None], **options: Any) -> None:
        self._on_failure = on_failure
        super().__init__(*arguments, **options)

    def _on_data_available(self, data_in: bytes) -> None:
        try:
            super()._on_data_available(data_in)
        except Exception:
            self._on_failure()
            raise


def _close(connection: SelectConnection) -> None:
    if connection.is_closing or connection.is_closed:
        connection.ioloop.stop()
    else:
        # also while it opens, so that its socket is closed
        connection.close()
