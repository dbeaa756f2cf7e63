"""Adaptive batches: take what is waiting, apply it in one transaction, acknowledge it at once.

One thread keeps the connection (and its heartbeats, while the database is away); the caller's
thread works. What a batch can't do is tried message by message, so that a poison message stops no
other. See https://www.rabbitmq.com/docs/confirms and https://www.rabbitmq.com/docs/quorum-queues.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Generic
from urllib.parse import quote

import pika
from pika.channel import Channel
from prometheus_client import Gauge

from chassis import broker
from chassis.aside import Aside, is_much
from chassis.batches import BatchProcessor
from chassis.connection import Connection
from chassis.dead_letters import DeadLetters
from chassis.delivery import Delivery, Handler, ItemT
from chassis.errors import BrokerUnavailableError
from chassis.queue_guard import QueueGuard
from chassis.settings import BrokerSettings, ProcessSettings, read
from chassis.suspects import Suspects

IN_FLIGHT = Gauge(
    "messages_in_flight", "Messages that were delivered and are not acknowledged yet", ["queue"]
)
PREFETCH = 200
ALONE_ABOVE = 20  # deliveries of one message
_UNDECIDED_SECONDS = 2.0  # between attempts
_MOST_UNDECIDED = 1000  # each is tried by itself each time
logger = logging.getLogger(__name__)


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
        self._in_flight = IN_FLIGHT.labels(settings.queue)
        self._stop = stop
        self._dead_letters = DeadLetters(settings, name, topology)
        self._aside = Aside(settings.queue, self._dead_letters)
        notes = read(ProcessSettings).state_dir / "suspects"
        self._suspects = Suspects(notes / f"queue-{quote(settings.queue, safe='')}")
        self._batches = BatchProcessor(settings.queue, handler, stop, self._suspects)
        self._arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._channel: Channel | None = None
        self._consuming: Channel | None = None
        self._one_by_one = 0  # so many messages yet
        self._room_made_at = 0  # with so many messages held
        self._undecided: list[Delivery] = []
        self._undecided_at = 0.0
        parts = list(topology)
        self._connection = Connection(settings, name, parts, self)
        self._guard = QueueGuard(settings, parts, self._connection)

    def run(self) -> None:
        """Consume until the stop event is set; then finish what is in hand."""
        self._connection.start()
        self._dead_letters.start()
        done = True
        while not self._stop.is_set():
            self._begin()
            done = self._take_and_process(wait=0.2)
        self._cancel()
        # an ack of all up to a later message would take with it what could not be done
        if done:
            self._take_and_process(wait=0)
        self._connection.close()
        self._dead_letters.close()

    def check(self) -> None:
        """Raise what is wrong if no message can arrive now."""
        self._guard.check()

    def watch_former(self, queues: Sequence[str]) -> None:
        """Measure what waits in `queues`, which this consumer's queue was called before."""
        self._guard.watch_former(queues)

    def _begin(self) -> None:
        """Ask a new channel for messages, once they can be applied.

        A broker counts each message that it delivers and gets back, and counted too often it is
        handled alone: during an outage no restart and no lost connection must count. Where a
        process has died of a suspect, messages come one by one, so that no other is counted.
        """
        channel = self._channel
        if channel is None or channel is self._consuming or not self._batches.can_begin():
            return
        self._consuming = channel
        self._one_by_one = self._messages_to_take_alone()
        self._call(lambda: self._consume(channel))

    def _messages_to_take_alone(self) -> int:
        """Return how many, so that what ends a process or a connection is alone when it does."""
        if self._connection.has_failed():
            return PREFETCH
        return 1 if self._suspects.any() else 0

    def _prefetch(self) -> int:
        return 1 if self._one_by_one else PREFETCH

    def _take_and_process(self, wait: float) -> bool:
        """Work through what is waiting; False if something was left undone."""
        # of a lost channel nothing can be acknowledged; the broker delivers it again on the next
        arrived = list(self._waiting(wait))
        deliveries = [d for d in [*self._undecided_due(arrived), *arrived] if d.channel.is_open]
        often = [d for d in deliveries if d.earlier_deliveries > ALONE_ABOVE]
        others = [d for d in deliveries if d not in often]
        groups = [others, *([d] for d in often)]
        succeeds = False
        for group in filter(None, groups):
            alone = group is not others
            batches = self._batches
            refused = batches.process_alone(group[0], succeeds) if alone else batches.process(group)
            if refused is None:
                return False
            succeeds |= len(group) > len(refused) + len(batches.undecided)
            self._aside.add(refused)
            self._undecided += batches.undecided
            held = {*self._undecided, *self._aside.deliveries()}
            done = [delivery for delivery in group if delivery not in held]
            self._acknowledge(done, everything=not (often or held))
        self._aside.publish(self._dead_lettered)
        if others:
            self._end_one_by_one(others)
        self._make_room()
        return True

    def _undecided_due(self, arrived: Sequence[Delivery]) -> list[Delivery]:
        """Take what is undecided: others that have arrived decide it, else it is tried again."""
        now = time.monotonic()
        if not (arrived or now >= self._undecided_at):
            return []
        self._undecided_at = now + _UNDECIDED_SECONDS
        due, self._undecided = self._undecided, []
        return due

    def _make_room(self) -> None:
        """Have more delivered, where much of what may be in hand is put aside, or is undecided.

        A new subscription may have as many in hand as the one before it, which keeps its own.
        """
        channel, held = self._consuming, [*self._aside.deliveries(), *self._undecided]
        self._room_made_at = min(self._room_made_at, len(held))
        much = max(1, self._prefetch() // 2)
        is_enough = len(self._undecided) >= _MOST_UNDECIDED or is_much(held)
        if len(held) - self._room_made_at < much or is_enough:
            return
        self._room_made_at = len(held)
        if channel is not None:
            self._call(lambda: self._consume_anew(channel))

    def _end_one_by_one(self, handled: Sequence[Delivery]) -> None:
        """Take many messages at once again: what a broker delivers again comes before the rest."""
        if not self._one_by_one:
            return
        self._one_by_one = max(0, self._one_by_one - len(handled))
        if not self._one_by_one:
            self._call(lambda: self._consume_anew(handled[0].channel))

    def _dead_lettered(self, delivery: Delivery) -> None:
        self._acknowledge([delivery], everything=False)
        self._suspects.forget(delivery)

    def _waiting(self, wait: float) -> Iterator[Delivery]:
        try:
            yield self._arrived.get(timeout=wait) if wait else self._arrived.get_nowait()
            for _ in range(PREFETCH - 1):
                yield self._arrived.get_nowait()
        except queue.Empty:
            return

    def _acknowledge(self, deliveries: Sequence[Delivery], everything: bool) -> None:
        if not deliveries:
            return
        tags = [deliveries[-1].tag] if everything else [delivery.tag for delivery in deliveries]
        channel, count = deliveries[-1].channel, len(deliveries)
        self._call(lambda: self._ack(channel, tags, everything, count))

    def _cancel(self) -> None:
        """Have the broker deliver nothing more, and wait until it has said so."""
        channel, cancelled = self._channel, threading.Event()
        if channel is None:
            return
        self._call(lambda: _cancel(channel, cancelled.set))
        cancelled.wait(2)

    def _call(self, action: Callable[[], None]) -> None:
        try:
            self._connection.call(action)
        except BrokerUnavailableError as error:
            logger.info("the broker will deliver again", extra={"reason": str(error)})

    # What follows runs on the connection's thread.

    def opened(self, channel: Channel) -> None:
        """Have the working thread ask for messages."""
        channel.add_on_cancel_callback(lambda _frame: channel.close())
        self._guard.opened(channel)
        self._channel = channel
        self._in_flight.set(0)

    def _consume(self, channel: Channel) -> None:
        if channel.is_open:
            # what is set counts for the consumers that come after
            channel.basic_qos(prefetch_count=self._prefetch())
            self._guard.asked()
            channel.basic_consume(
                self._queue, self._deliver, callback=lambda _frame: self._guard.begun()
            )

    def _consume_anew(self, channel: Channel) -> None:
        _cancel(channel, lambda: self._consume(channel))

    def lost(self, reason: str) -> None:
        """What was not acknowledged will be delivered again."""
        self._channel = None
        self._guard.lost(reason)
        self._in_flight.set(0)

    def blocked(self, reason: str | None) -> None:
        """Publishers are blocked; a consumer is not."""

    def _deliver(
        self,
        channel: Channel,
        method: pika.spec.Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        self._in_flight.inc()
        self._guard.delivered()
        self._arrived.put(
            Delivery(channel, method.delivery_tag, body, properties, method.redelivered)
        )

    def _ack(self, channel: Channel, tags: Sequence[int], multiple: bool, count: int) -> None:
        """Acknowledge `count` messages, by one tag for all of them or a tag each."""
        if not channel.is_open:
            return
        for tag in tags:
            channel.basic_ack(tag, multiple=multiple)
        self._in_flight.dec(count)


def _cancel(channel: Channel, then: Callable[[], None]) -> None:
    for tag in channel.consumer_tags if channel.is_open else []:
        channel.basic_cancel(tag, lambda _frame: then())
