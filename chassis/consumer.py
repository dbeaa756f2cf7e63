"""Adaptive batches: take what is waiting, apply it in one transaction, acknowledge it at once.

One thread keeps the connection (and its heartbeats, while the database is away); the caller's
thread works. What a batch can't do is tried message by message, so that a poison message stops no
other. See https://www.rabbitmq.com/docs/confirms and https://www.rabbitmq.com/docs/quorum-queues.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import pika
from pika.channel import Channel
from prometheus_client import Counter, Histogram

from chassis import broker
from chassis.connection import Connection
from chassis.dead_letters import DeadLetters
from chassis.errors import BrokerUnavailableError
from chassis.settings import BrokerSettings

CONSUMED = Counter(
    "messages_consumed_total", "Messages taken from a queue, by outcome", ["queue", "outcome"]
)
CONSUMED_BATCH = Histogram(
    "consumed_batch_size",
    "Messages handled in one transaction",
    ["queue"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
PREFETCH = 200
ALONE_ABOVE, DEAD_LETTER_ABOVE = 20, 40  # deliveries of one message
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts while the database is away
logger = logging.getLogger(__name__)


class RejectedError(Exception):
    """A message that can't be processed, now or later."""


@dataclass(frozen=True)
class Delivery:
    """A message as it came from the broker, on the channel that it must be acknowledged on."""

    channel: Channel
    tag: int
    body: bytes
    properties: pika.BasicProperties

    @property
    def headers(self) -> dict[str, Any]:
        """The AMQP headers, none if there are none."""
        return self.properties.headers or {}

    @property
    def earlier_deliveries(self) -> int:
        """How often the broker has delivered this message before."""
        return int(self.headers.get("x-delivery-count", 0))


ItemT = TypeVar("ItemT")


class Handler(Protocol[ItemT]):
    """What a service does with the messages of a queue."""

    def parse(self, delivery: Delivery) -> ItemT:
        """Understand a message.

        Raises:
            RejectedError: it can't be processed, and why.
        """

    def apply(self, items: Sequence[ItemT]) -> None:
        """Apply all of `items` in one transaction, and commit it; what was applied before, not."""

    def is_outage(self, error: Exception) -> bool:
        """Tell whether to wait and try again, since the message is not at fault."""


class Consumer(Generic[ItemT]):
    """Consumes one queue until it is told to stop."""

    def __init__(
        self,
        settings: BrokerSettings,
        name: str,
        topology: broker.Topology,
        handler: Handler[ItemT],
        stop: threading.Event,
    ) -> None:
        """Prepare a consumer of `settings.queue`; nothing is connected before `run`."""
        self.name = "rabbitmq"
        self._queue = settings.queue
        self._handler = handler
        self._stop = stop
        self._dead_letters = DeadLetters(settings, name, topology)
        self._arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._channel: Channel | None = None
        self._connection = Connection(settings, name, topology, self)

    def run(self) -> None:
        """Consume until the stop event is set; then finish what is in hand."""
        self._connection.start()
        self._dead_letters.start()
        while not self._stop.is_set():
            self._take_and_process(wait=0.2)
        self._cancel()
        self._take_and_process(wait=0)
        self._connection.close()
        self._dead_letters.close()

    def check(self) -> None:
        """Raise what is wrong if no message can arrive now."""
        if self._channel is None:
            raise BrokerUnavailableError("RabbitMQ is away")

    def _take_and_process(self, wait: float) -> None:
        # of a lost channel nothing can be acknowledged; the broker delivers it again on the next
        deliveries = [d for d in list(self._waiting(wait)) if d.channel.is_open]
        often = [d for d in deliveries if d.earlier_deliveries > ALONE_ABOVE]
        groups = [[d for d in deliveries if d not in often], *([d] for d in often)]
        for group in filter(None, groups):
            if not self._process(group):
                return
            self._acknowledge(group, everything=not often)

    def _waiting(self, wait: float) -> Iterator[Delivery]:
        try:
            yield self._arrived.get(timeout=wait) if wait else self._arrived.get_nowait()
            for _ in range(PREFETCH - 1):
                yield self._arrived.get_nowait()
        except queue.Empty:
            return

    def _process(self, deliveries: Sequence[Delivery]) -> bool:
        """Apply what is good and dead-letter the rest; False if told to stop before it is done."""
        good, refused = self._sort(deliveries)
        failed = self._apply(good)
        if failed is None:
            return False
        refused += failed
        CONSUMED_BATCH.labels(self._queue).observe(len(deliveries))
        CONSUMED.labels(self._queue, "applied").inc(len(deliveries) - len(refused))
        CONSUMED.labels(self._queue, "dead_lettered").inc(len(refused))
        return all(self._dead_letter(delivery, reason) for delivery, reason in refused)

    def _sort(
        self, deliveries: Sequence[Delivery]
    ) -> tuple[list[tuple[Delivery, ItemT]], list[tuple[Delivery, str]]]:
        good: list[tuple[Delivery, ItemT]] = []
        refused: list[tuple[Delivery, str]] = []
        for delivery in deliveries:
            try:
                if delivery.earlier_deliveries > DEAD_LETTER_ABOVE:
                    raise RejectedError(f"delivered {delivery.earlier_deliveries} times in vain")
                good.append((delivery, self._handler.parse(delivery)))
            except RejectedError as error:
                refused.append((delivery, str(error)))
        return good, refused

    def _apply(self, good: Sequence[tuple[Delivery, ItemT]]) -> list[tuple[Delivery, str]] | None:
        """Apply a batch; if it fails, one by one. Returns what failed alone, None if stopped."""
        try:
            done = not good or self._apply_waiting([item for _delivery, item in good])
            return [] if done else None
        except Exception as error:
            if len(good) == 1:
                logger.exception("message can't be processed")
                return [(good[0][0], f"{type(error).__name__}: {error}")]
        failed: list[tuple[Delivery, str]] = []
        for pair in good:
            alone = self._apply([pair])
            if alone is None:
                return None
            failed += alone
        return failed

    def _apply_waiting(self, items: Sequence[ItemT]) -> bool:
        """Apply `items`, waiting for the database as long as it takes; False if told to stop."""
        pause = _FIRST_PAUSE
        while True:
            try:
                self._handler.apply(items)
                return True
            except Exception as error:
                if not self._handler.is_outage(error):
                    raise
                reason = str(error).strip().partition("\n")[0]
                logger.warning("waiting for the database", extra={"reason": reason})
            if self._stop.wait(pause):
                return False
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _dead_letter(self, delivery: Delivery, reason: str) -> bool:
        """Put a message aside, trying until the broker has it or will deliver it again."""
        while delivery.channel.is_open:
            try:
                self._dead_letters.put(delivery.body, delivery.properties, reason)
                return True
            except BrokerUnavailableError as error:
                logger.warning("dead letter not confirmed", extra={"reason": str(error)})
            if self._stop.wait(_LONGEST_PAUSE):
                break
        return False

    def _acknowledge(self, deliveries: Sequence[Delivery], everything: bool) -> None:
        tags = [deliveries[-1].tag] if everything else [delivery.tag for delivery in deliveries]
        channel = deliveries[-1].channel
        self._call(lambda: _ack(channel, tags, everything))

    def _cancel(self) -> None:
        """Have the broker deliver nothing more, and wait until it has said so."""
        channel, cancelled = self._channel, threading.Event()
        if channel is None:
            return
        tag = channel.consumer_tags[0]
        self._call(lambda: channel.basic_cancel(tag, lambda _frame: cancelled.set()))
        cancelled.wait(2)

    def _call(self, action: Callable[[], None]) -> None:
        try:
            self._connection.call(action)
        except BrokerUnavailableError as error:
            logger.info("the broker will deliver again", extra={"reason": str(error)})

    # What follows runs on the connection's thread.

    def opened(self, channel: Channel) -> None:
        """Ask for messages."""
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.add_on_cancel_callback(lambda _frame: channel.close())
        channel.basic_consume(self._queue, self._deliver)
        self._channel = channel

    def lost(self, reason: str) -> None:
        """What was not acknowledged will be delivered again."""
        self._channel = None

    def blocked(self, reason: str | None) -> None:
        """Publishers are blocked; a consumer is not."""

    def _deliver(
        self,
        channel: Channel,
        method: pika.spec.Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        self._arrived.put(Delivery(channel, method.delivery_tag, body, properties))


def _ack(channel: Channel, tags: Sequence[int], multiple: bool) -> None:
    if not channel.is_open:
        return
    for tag in tags:
        channel.basic_ack(tag, multiple=multiple)
