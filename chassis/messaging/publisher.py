"""The grouped publisher: one confirmed channel for all threads of a process.

Threads hand over messages and wait. The connection's thread publishes all of them, and passes
the confirms on as they arrive.

Own code: pika's BlockingChannel waits for each confirm: with 16 threads, a seventh of this rate.
Source: https://www.rabbitmq.com/docs/confirms
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import cast

import pika
from pika.channel import Channel

from chassis.errors import BrokerUnavailableError
from chassis.messaging import broker, declarations
from chassis.messaging.confirms import PUBLISHED, Answer, Answered, Confirms, Pending, fail
from chassis.messaging.connection import BrokerConnection
from chassis.messaging.declarations import Exchange, Topology
from chassis.messaging.frames import FrameConnection
from chassis.messaging.message import Message
from chassis.messaging.short_strings import as_text
from chassis.messaging.unknown_exchanges import UnknownExchanges
from chassis.settings import BrokerSettings

OVERDUE_SECONDS = 20.0
"""After so long without an answer the connection is closed: a dead queue never answers on it."""
_CHECK_SECONDS = 1.0
_PROBE_SECONDS = 0.5
_OPEN_SECONDS = 2.0
logger = logging.getLogger(__name__)


class State(Enum):
    """Whether a message handed over now is likely to be confirmed soon."""

    DOWN = "down"
    READY = "ready"
    BLOCKED = "blocked"
    SUSPECT = "suspect"  # a confirm is overdue; a probe goes first


class Publisher:
    """Publishes persistent messages; a message counts once the broker has confirmed it."""

    def __init__(
        self, settings: BrokerSettings, name: str, topology: Topology, timeout: float = 0.5
    ) -> None:
        """Prepare a publisher; nothing is connected before `start`.

        Args:
            settings: the broker's address.
            name: what the management UI calls the connection.
            topology: what is declared on each new connection.
            timeout: how long `publish` waits for a confirm, in seconds.
        """
        self.name = "rabbitmq"
        self._timeout = timeout
        self._topology = list(topology)
        self._unsent: deque[tuple[Message, Pending]] = deque()
        self._confirms = Confirms()
        self._unknown_exchanges = UnknownExchanges(
            part.name for part in self._topology if isinstance(part, Exchange)
        )
        self._lock = threading.Lock()
        self._flush_asked = False
        self._changed = threading.Condition()
        self._state = State.DOWN
        self._settings = settings
        self._reason = "not connected yet"
        self._read_since = 0.0  # since when the broker reads from us (monotonic)
        self._channel: Channel | None = None
        self._probing = False
        self._declaring = False
        self._declare_at = 0.0
        self._connection = BrokerConnection(settings, name, self._topology, self)

    def start(self) -> None:
        """Connect, in a thread; must be called after the process has forked."""
        self._connection.start()

    def close(self) -> None:
        """Close the connection and end the thread."""
        self._connection.close()

    def check(self) -> None:
        """Raise what is wrong if the broker is known not to take messages now."""
        self._check_state()
        if refused := self._confirms.refusals.lasting():
            detail = f"RabbitMQ takes no message for {refused}: the queue is full, or dead"
            raise BrokerUnavailableError(detail)

    def _check_state(self) -> None:
        if self._state is State.DOWN:
            raise BrokerUnavailableError(broker.why_down(self._reason, self._settings))
        if not self.is_ready():
            raise BrokerUnavailableError(f"RabbitMQ is {self._state.value}")

    def is_ready(self) -> bool:
        """Return whether a message handed over now is likely to be confirmed soon."""
        return self._state is State.READY

    def wait_until_ready(self, seconds: float = _OPEN_SECONDS) -> bool:
        """Wait for `seconds` at most until messages can be handed over; return whether they can."""
        with self._changed:
            return self._changed.wait_for(self.is_ready, seconds)

    def publish(self, message: Message) -> None:
        """Publish and wait for the confirm.

        Raises:
            BrokerUnavailableError: not confirmed in time; the broker may still have it.
        """
        try:
            failure = self.submit(message).failure(self._timeout)
        except TimeoutError:
            self._suspect()
            PUBLISHED.labels("timeout").inc()
            detail = f"RabbitMQ has not confirmed within {self._timeout} s"
            raise BrokerUnavailableError(detail, "broker_timeout") from None
        if failure is not None:
            raise failure

    def submit(self, message: Message) -> Answer:
        """Hand a message over; the answer comes when it is confirmed or failed.

        Raises:
            BrokerUnavailableError: the broker is known to be unavailable, blocked or slow, or not
                to have the exchange.
        """
        self._check_state()
        self._unknown_exchanges.check(message.exchange)
        answer = Answer()
        self._hand_over([(message, Pending(answer.give))])
        return answer

    def send(self, messages: Iterable[tuple[Message, Answered]]) -> None:
        """Hand messages over; each one's function is called, on any thread, with its outcome."""
        accepted: list[tuple[Message, Pending]] = []
        for message, answered in messages:
            try:
                self._check_state()
                self._unknown_exchanges.check(message.exchange)
            except BrokerUnavailableError as error:
                answered(error)
            else:
                accepted.append((message, Pending(answered)))
        if accepted:
            self._hand_over(accepted)

    def _hand_over(self, messages: Iterable[tuple[Message, Pending]]) -> None:
        with self._lock:
            self._unsent.extend(messages)
            first, self._flush_asked = not self._flush_asked, True
        if first:
            self._ask_for_flush()

    def _ask_for_flush(self) -> None:
        try:
            self._connection.call(self._flush)
        except BrokerUnavailableError as error:
            self._fail_unsent(str(error))

    def _fail_unsent(self, reason: str) -> None:
        for _message, pending in self._take_unsent():
            fail(pending, reason)

    # What follows runs on the connection's thread.

    def opened(self, channel: Channel) -> None:
        """Turn confirms on."""
        self._channel = channel
        self._declaring = False
        self._read_since = time.monotonic()
        self._declare_at = time.monotonic() + declarations.DECLARE_SECONDS
        self._connection.later(_CHECK_SECONDS, self._check_answers)
        channel.add_on_return_callback(self._returned)
        _connection(channel).listen_for_confirms(channel, self._confirmed)
        channel.confirm_delivery(_ignore, callback=lambda _frame: self._set(State.READY))

    def lost(self, reason: str) -> None:
        """Fail all unconfirmed messages; the threads that wait decide what to do with them."""
        self._channel = None
        self._reason = reason
        self._unknown_exchanges.note(reason)
        self._set(State.DOWN)
        self._fail_unsent(f"RabbitMQ is unavailable: {reason}")
        self._confirms.fail_all(f"RabbitMQ is unavailable: {reason}")

    def blocked(self, reason: str | None) -> None:
        """The broker has stopped reading from us (`reason`), or reads again (None)."""
        if reason is not None:
            self._set(State.BLOCKED)
        elif self._state is State.BLOCKED:
            self._read_since = time.monotonic()
            self._set(State.SUSPECT)
            self._probe()

    def _check_answers(self) -> None:
        """Close a connection with an overdue answer, or one on which a queue takes nothing."""
        self._connection.later(_CHECK_SECONDS, self._check_answers)
        if self._state is State.BLOCKED:
            return
        before = time.monotonic() - OVERDUE_SECONDS
        overdue = self._confirms.overdue(before) if self._read_since < before else None
        if overdue is not None:
            self._confirms.refusals.note(overdue)
            self._connection.end(f"{overdue} has not confirmed within {OVERDUE_SECONDS:g} s")
        elif self._confirms.refusals.wants_new_connection():
            self._connection.end(f"{self._confirms.refusals.lasting()} takes no message")
        elif time.monotonic() > self._declare_at:
            self._declare()

    def _declare(self) -> None:
        """Declare queues, exchanges and bindings again, in case somebody has removed them."""
        self._declare_at = time.monotonic() + declarations.DECLARE_SECONDS
        if self._channel is not None and self._channel.is_open and not self._declaring:
            self._declaring = True
            declarations.declare(self._topology, self._channel, self._declared)

    def _set(self, state: State) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def _take_unsent(self) -> list[tuple[Message, Pending]]:
        with self._lock:
            taken = list(self._unsent)
            self._unsent.clear()
            self._flush_asked = False
        return taken

    def _flush(self) -> None:
        messages = self._take_unsent()
        channel = self._channel
        if channel is None or not channel.is_open:
            for _message, pending in messages:
                fail(pending, "RabbitMQ is unavailable: the channel was lost")
            return
        with _connection(channel).together():
            for message, pending in messages:
                self._send(channel, message, pending)

    def _send(self, channel: Channel, message: Message, pending: Pending) -> None:
        """Publish; a message that can't be encoded is not sent, has no tag, and fails alone.

        All frames of a message are encoded before the first one is sent.
        """
        try:
            _connection(channel).publish(channel, message, broker.now())
        except Exception as error:
            logger.warning("publishing failed", extra={"reason": repr(error)})
            fail(pending, f"the message can't be published: {error!r}")
        else:
            self._confirms.add(message, pending)

    def _confirmed(self, tag: int, multiple: bool, acknowledged: bool) -> None:
        self._confirms.settle(tag, multiple, acknowledged)

    def _returned(
        self, _channel: Channel, _method: object, properties: pika.BasicProperties, _body: bytes
    ) -> None:
        """Fail a mandatory message that no queue took, and declare the queues again."""
        self._confirms.returned(as_text(properties.message_id or ""))
        self._declare()

    def _declared(self) -> None:
        self._declaring = False

    def _suspect(self) -> None:
        """After an overdue confirm, take no message until a probe is confirmed."""
        if self._state is State.READY:
            self._set(State.SUSPECT)
            logger.warning("broker is slow to confirm")
            try:
                self._connection.call(self._probe)
            except BrokerUnavailableError:
                logger.info("broker connection is already gone")

    def _probe(self) -> None:
        if self._state is not State.SUSPECT or self._channel is None or self._probing:
            return
        self._probing = True
        answer = Pending(self._probed)
        # no queue has this name: the broker confirms an unroutable message at once
        self._send(self._channel, Message(b"", "publisher-probe", mandatory=False), answer)

    def _probed(self, error: BrokerUnavailableError | None) -> None:
        self._probing = False
        if error is not None or self._state is not State.SUSPECT:
            return
        if self._confirms:
            self._connection.later(_PROBE_SECONDS, self._probe)
        else:
            logger.info("broker confirms again")
            self._set(State.READY)


def _connection(channel: Channel) -> FrameConnection:
    """Return the connection of a channel of `BrokerConnection`."""
    return cast(FrameConnection, channel.connection)


def _ignore(_frame: object) -> None:
    """Do nothing: confirms come from `listen_for_confirms`."""
