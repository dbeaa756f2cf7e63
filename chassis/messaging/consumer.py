"""Adaptive batches: take all waiting messages, apply them in one transaction, acknowledge them.

One thread keeps the connection and its heartbeats, also while the database is unavailable. The
caller's thread applies messages. A batch that fails is applied message by message, so that a poison
message stops no other. See https://www.rabbitmq.com/docs/confirms and
https://www.rabbitmq.com/docs/quorum-queues.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Generic
from urllib.parse import quote

from pika.channel import Channel

from chassis.gathering import pause_after
from chassis.messaging.batch_processor import BatchProcessor, Refused
from chassis.messaging.crash_suspects import Suspects
from chassis.messaging.dead_letters import DeadLetters
from chassis.messaging.declarations import Topology
from chassis.messaging.delivery import Delivery, Handler, ItemT
from chassis.messaging.pending_dead_letters import PendingDeadLetters, is_at_limit
from chassis.messaging.subscription import Subscription
from chassis.messaging.undecided import Undecided
from chassis.messaging.window import BATCH, PREFETCH
from chassis.settings import BrokerSettings, ProcessSettings, read

ALONE_ABOVE = 20  # earlier deliveries of a message: it is handled alone
_FINISH_SECONDS = 5.0  # less than PM2 waits for the end of a process
_BATCH_OCTETS = 8_000_000  # of bodies, at which a batch is full


class Consumer(Generic[ItemT]):
    """Consumes one queue until it is told to stop."""

    def __init__(
        self,
        settings: BrokerSettings,
        name: str,
        topology: Topology,
        handler: Handler[ItemT],
        stop: threading.Event,
    ) -> None:
        """Prepare a consumer of `settings.queue`; nothing is connected before `run`."""
        self.name = "rabbitmq"
        self._stop = stop
        self._dead_letters = DeadLetters(settings, name, topology)
        self._pending_dead_letters = PendingDeadLetters(settings.queue, self._dead_letters)
        notes = read(ProcessSettings).state_dir / "suspects"
        self._suspects = Suspects(notes / f"queue-{quote(settings.queue, safe='')}")
        self._batches = BatchProcessor(settings.queue, handler, stop, self._suspects)
        self._subscription = Subscription(settings, name, topology)
        self._consuming: Channel | None = None
        self._one_by_one = 0  # how many messages are still to be taken one by one
        self._room_made_for: set[Delivery] = set()
        self._undecided = Undecided()

    def run(self) -> None:
        """Consume until the stop event is set; then finish the messages in hand."""
        self._subscription.start()
        self._dead_letters.start()
        done = True
        while not self._stop.is_set():
            self._begin()
            done = self._take_and_process(wait=0.2)
        self._subscription.stop()
        # an ack of all up to a later message would include those that were not done
        if done:
            self._finish()
        self._subscription.close()
        self._dead_letters.close()

    def _finish(self) -> None:
        """Process what is in hand: more than one batch."""
        end = time.monotonic() + _FINISH_SECONDS
        while self._take_and_process(wait=0):
            if not self._subscription.arrived or time.monotonic() > end:
                return

    def check(self) -> None:
        """Raise what is wrong if no message can arrive now."""
        self._subscription.check()

    def watch_former(self, queues: Sequence[str]) -> None:
        """Measure what waits in `queues`, which are former names of this consumer's queue."""
        self._subscription.watch_former(queues)

    def _begin(self) -> None:
        """Start to consume on a new channel, once messages can be applied.

        The broker counts how often it delivers a message, and one with a high count is handled
        alone. So nothing is consumed during an outage: neither a restart nor a lost connection then
        raises a count. After a process has died with a suspect, messages are taken one by one, so
        that no other message's count rises.
        """
        channel = self._subscription.channel
        if channel is None or channel is self._consuming or not self._batches.can_begin():
            return
        self._consuming = channel
        self._one_by_one = self._messages_to_take_alone()
        self._subscription.begin(channel, one_by_one=self._one_by_one > 0)

    def _messages_to_take_alone(self) -> int:
        """Return how many to take alone, so that a crash or a lost connection has one cause."""
        if self._subscription.has_failed():
            return PREFETCH
        return 1 if self._suspects.any() else 0

    def _take_and_process(self, wait: float) -> bool:
        """Process the waiting messages; False if some were left undone."""
        arrived = [delivery for delivery in self._waiting(wait) if delivery.is_ours]
        began = time.monotonic()
        locked, decidable = self._batches.lock_waits.due(), self._undecided.decidable()
        undecided = [] if decidable else self._undecided.due(has_company=bool(arrived))
        others = [*undecided, *arrived]
        often = [d for d in (*locked, *decidable, *others) if d.earlier_deliveries > ALONE_ABOVE]
        everything = not (locked or decidable or often)
        succeeded = False
        for group in (locked, decidable, others):
            ordinary = [delivery for delivery in group if delivery not in often]
            if ordinary:
                refused = self._batches.process(ordinary, succeeds=group is decidable)
                if not self._settle(ordinary, refused, everything):
                    return False
                succeeded |= self._batches.applied > 0
        for delivery in often:
            succeeds = succeeded or delivery in decidable
            refused = self._batches.process_alone(delivery, succeeds)
            if not self._settle([delivery], refused, everything):
                return False
            succeeded |= self._batches.applied > 0
        if not set(locked).isdisjoint(self._batches.lock_waits.deliveries()):
            self._batches.lock_waits.rest()
        self._pending_dead_letters.publish(self._dead_lettered)
        if others:
            self._end_one_by_one(others)
        self._make_room()
        # more arrive meanwhile
        self._stop.wait(pause_after(len(arrived), time.monotonic() - began))
        return True

    def _settle(
        self, group: Sequence[Delivery], refused: list[Refused] | None, everything: bool
    ) -> bool:
        """Acknowledge what is done of a group, and keep the rest; False if it was left undone."""
        if refused is None:
            return False
        if self._batches.applied:
            self._undecided.note_success()
        self._undecided.add(self._batches.undecided)
        self._pending_dead_letters.add(refused)
        held = self._held()
        done = [delivery for delivery in group if delivery not in held]
        self._subscription.acknowledge(done, everything=everything and not held)
        return True

    def _make_room(self) -> None:
        """Make room for more messages, if many of those in hand wait or are undecided.

        A new subscription has the full prefetch again; messages of the one before don't count.
        """
        channel, held = self._consuming, self._held()
        is_enough = is_at_limit(held)
        self._subscription.hold(len(held), is_enough)
        self._room_made_for &= held
        much = max(1, self._subscription.prefetch // 2)
        if len(held - self._room_made_for) < much or is_enough:
            return
        self._room_made_for = held
        if channel is not None:
            self._subscription.renew(channel, one_by_one=self._one_by_one > 0)

    def _held(self) -> set[Delivery]:
        """Return the messages that stay in hand for longer than a batch."""
        lock_waits = self._batches.lock_waits.deliveries()
        held = (
            *self._undecided.deliveries(),
            *self._pending_dead_letters.deliveries(),
            *lock_waits,
        )
        return {delivery for delivery in held if delivery.is_ours}

    def _end_one_by_one(self, handled: Sequence[Delivery]) -> None:
        """Take many messages at once again; redelivered messages came before the others."""
        if not self._one_by_one:
            return
        self._one_by_one = max(0, self._one_by_one - len(handled))
        if not self._one_by_one:
            self._subscription.renew(handled[0].channel)

    def _dead_lettered(self, delivery: Delivery) -> None:
        self._subscription.acknowledge([delivery], everything=False)
        self._suspects.forget(delivery)

    def _waiting(self, wait: float) -> Iterator[Delivery]:
        """Take the waiting messages, as many as a batch may hold."""
        octets = 0
        for number in range(BATCH):
            delivery = self._subscription.arrived.take(0 if number else wait)
            if delivery is None:
                return
            yield delivery
            octets += len(delivery.body)
            if octets >= _BATCH_OCTETS:
                return
