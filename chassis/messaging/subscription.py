"""A consumer's subscription to its queue: what is delivered, acknowledged, and returned.

It limits the octets in hand. A message that does not fit returns to the queue, and so do those
behind it. Then the prefetch shrinks. A quorum queue puts returned messages at its end, so handlers
must not rely on the order of a queue. Returns raise the broker's delivery count, by which alone no
message is refused, see `chassis.messaging.consumer`.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import pika
from pika.channel import Channel
from prometheus_client import Gauge

from chassis.errors import BrokerUnavailableError
from chassis.messaging import window
from chassis.messaging.arrivals import Arrivals
from chassis.messaging.connection import BrokerConnection
from chassis.messaging.declarations import Topology
from chassis.messaging.delivery import Delivery
from chassis.messaging.queue_guard import QueueGuard
from chassis.messaging.window import Window
from chassis.settings import BrokerSettings

IN_FLIGHT = Gauge(
    "messages_in_flight", "Messages that were delivered and are not acknowledged yet", ["queue"]
)
OCTETS_IN_FLIGHT = Gauge(
    "message_octets_in_flight", "Octets of the bodies of messages in flight", ["queue"]
)
_CANCEL_SECONDS = 2.0
logger = logging.getLogger(__name__)


class Subscription:
    """Keeps a connection, and consumes on its channel when asked to."""

    def __init__(self, settings: BrokerSettings, name: str, topology: Topology) -> None:
        """Prepare a subscription to `settings.queue`; nothing is connected before `start`."""
        self.arrived = Arrivals()
        self.channel: Channel | None = None
        """The current channel, None without a connection."""
        self._queue = settings.queue
        self._window = Window()
        self._is_one_by_one = False
        self._held = 0
        self._is_full = False
        self._stopped = threading.Event()
        self._ended = threading.Event()
        self._forget()
        parts = list(topology)
        self._connection = BrokerConnection(settings, name, parts, self)
        self._guard = QueueGuard(settings, parts, self._connection)
        # read when Prometheus asks, not set with each message
        IN_FLIGHT.labels(settings.queue).set_function(lambda: len(self._sizes))
        OCTETS_IN_FLIGHT.labels(settings.queue).set_function(lambda: self._octets)

    def start(self) -> None:
        """Connect, in a new thread."""
        self._connection.start()

    def close(self) -> None:
        """Close the connection after the calls before this one."""
        self._connection.close()

    def check(self) -> None:
        """Raise what is wrong if no message can arrive now."""
        self._guard.check()

    def watch_former(self, queues: Sequence[str]) -> None:
        """Measure what waits in `queues`, which are former names of this consumer's queue."""
        self._guard.watch_former(queues)

    def has_failed(self) -> bool:
        """Return whether an error in this process has ended a connection; resets the answer."""
        return self._connection.has_failed()

    @property
    def prefetch(self) -> int:
        """How many unacknowledged messages the broker delivers at most."""
        return 1 if self._is_one_by_one else self._window.count

    def begin(self, channel: Channel, one_by_one: bool) -> None:
        """Consume on a new channel."""
        self._is_one_by_one = one_by_one
        self._call(lambda: self._begin(channel))

    def renew(self, channel: Channel, one_by_one: bool = False) -> None:
        """Subscribe anew, with the full prefetch.

        The prefetch of a new subscription does not count messages of the one before it.
        """
        self._is_one_by_one = one_by_one
        self._call(lambda: self._cancel(channel))

    def hold(self, count: int, is_full: bool) -> None:
        """Set how many messages in hand stay there for long; `is_full` stops further deliveries."""
        if (count, is_full) == (self._held, self._is_full):
            return
        self._held, self._is_full = count, is_full
        channel = self.channel
        if channel is not None:
            self._call(lambda: self._consume_if_possible(channel))

    def acknowledge(self, deliveries: Sequence[Delivery], everything: bool) -> None:
        """Acknowledge messages of one channel; `everything` if no earlier ones are in hand."""
        if not deliveries:
            return
        tags = [delivery.tag for delivery in deliveries]
        channel = deliveries[-1].channel
        acknowledged = [max(tags)] if everything else tags
        self._call(lambda: self._acknowledge(channel, acknowledged, multiple=everything))

    def stop(self) -> None:
        """Cancel the subscription, and wait until the broker confirms that."""
        self._stopped.set()
        channel = self.channel
        if channel is not None:
            self._call(lambda: self._end(channel))
            self._ended.wait(_CANCEL_SECONDS)

    def _call(self, action: Callable[[], None]) -> None:
        try:
            self._connection.call(action)
        except BrokerUnavailableError as error:
            logger.info("the broker will deliver again", extra={"reason": str(error)})

    # What follows runs on the connection's thread.

    def opened(self, channel: Channel) -> None:
        """Announce the new channel; the consumer begins on it when it is ready."""
        channel.add_on_cancel_callback(lambda _frame: channel.close())
        self._guard.opened(channel)
        self._forget()
        self._ended.clear()
        self.channel = channel

    def lost(self, reason: str) -> None:
        """Reset: the broker will deliver unacknowledged messages again."""
        self.channel = None
        self._guard.lost(reason)
        self._forget()
        self._ended.set()

    def blocked(self, reason: str | None) -> None:
        """Do nothing: the broker blocks publishers, and no consumer."""

    def _forget(self) -> None:
        """Reset, with nothing in hand."""
        self._sizes: dict[int, int] = {}  # by delivery tags, which rise
        self._octets = self._wanted = 0  # in hand, and of the last message that did not fit
        self._tag: str | None = None
        self._is_begun = self._is_ending = self._returns = False

    def _begin(self, channel: Channel) -> None:
        if channel is self.channel:
            self._is_begun = True
            self._consume_if_possible(channel)

    def _consume_if_possible(self, channel: Channel) -> None:
        """Consume, if idle, open, with room, and not stopped."""
        is_idle = self._is_begun and self._tag is None and not self._is_ending
        if not (is_idle and channel.is_open and self._has_room()) or self._stopped.is_set():
            return
        # the prefetch applies to consumers that begin after this
        channel.basic_qos(prefetch_count=self.prefetch)
        self._guard.asked()
        self._tag = channel.basic_consume(self._queue, self._deliver, callback=self._consuming)

    def _consuming(self, frame: Any) -> None:
        if frame.method.consumer_tag == self._tag:
            self._guard.begun()

    def _has_room(self) -> bool:
        needed = max(self._wanted, window.MOST_OCTETS // 2)
        is_much = self._octets + needed > window.MOST_OCTETS
        return not self._is_full and not (is_much and self._is_busy())

    def _is_busy(self) -> bool:
        """Return whether messages in hand will be acknowledged soon, and so make room."""
        return len(self._sizes) > self._held

    def _cancel(self, channel: Channel) -> None:
        """Cancel the subscription; when the broker confirms that, consume again if possible."""
        if self._tag is None or not channel.is_open:
            return
        tag, self._tag = self._tag, None
        self._is_ending = True
        self._guard.paused()
        channel.basic_cancel(tag, lambda _frame: self._cancelled(channel))

    def _cancelled(self, channel: Channel) -> None:
        self._is_ending = self._returns = False
        if self._stopped.is_set():
            self._ended.set()
        self._consume_if_possible(channel)

    def _end(self, channel: Channel) -> None:
        self._cancel(channel)
        if not self._is_ending:
            self._ended.set()

    def _deliver(
        self,
        channel: Channel,
        method: pika.spec.Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        self._guard.delivered()
        self._window.note(len(body))
        is_too_much = self._octets + len(body) > window.MOST_OCTETS and self._is_busy()
        if self._returns or is_too_much:
            self._return(channel, method.delivery_tag, len(body))
            return
        self._wanted = 0
        self._sizes[method.delivery_tag] = len(body)
        self._octets += len(body)
        self.arrived.put(
            Delivery(channel, method.delivery_tag, body, properties, method.redelivered)
        )
        if self._window.widen():
            self._cancel(channel)

    def _return(self, channel: Channel, tag: int, octets: int) -> None:
        if not self._returns:
            logger.info("messages are large", extra={"queue": self._queue, "octets": self._octets})
        self._returns = True
        self._wanted = max(self._wanted, octets)
        # before the message is back in the queue, or it would be delivered again at once
        self._cancel(channel)
        self._window.narrow()
        channel.basic_reject(tag, requeue=True)

    def _acknowledge(self, channel: Channel, tags: Sequence[int], multiple: bool) -> None:
        """Acknowledge messages: all up to one tag (`multiple`), or each tag."""
        if not channel.is_open:
            return
        for tag in tags:
            channel.basic_ack(tag, multiple=multiple)
        for tag in self._up_to(tags[0]) if multiple else tags:
            self._octets -= self._sizes.pop(tag, 0)
        self._consume_if_possible(channel)

    def _up_to(self, last: int) -> list[int]:
        return list(takewhile(lambda tag: tag <= last, self._sizes))
