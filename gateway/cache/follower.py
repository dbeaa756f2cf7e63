"""Follows inventory's events, and invalidates what they say has changed.

These are changes that no gateway of this machine has passed on: stock that orders reserve, and
writes through another machine's gateway. gateway-relay runs it, one on each machine.

Its queue is exclusive and transient: it ends with its connection, and so do its messages. This
loses nothing, since after a gap in following everything is invalidated. Meanwhile nothing is shown
from the cache.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from pika.channel import Channel
from prometheus_client import Counter

from chassis.messaging.connection import BrokerConnection
from chassis.messaging.declarations import Binding, exchange_alone
from chassis.settings import BrokerSettings
from gateway.cache import resources
from gateway.cache.preparation import is_on, prepare
from gateway.cache.settings import CacheSettings
from gateway.cache.versions import Versions

EXCHANGE = "inventory_events"
NAME = "gateway cache"
BEAT_SECONDS = 1.0
# a queue of a reader that stops; it loses the oldest, and the reader then invalidates everything
QUEUE = {"x-queue-type": "classic", "x-max-length": 100_000, "x-max-length-bytes": 64 * 2**20}
FOLLOWED = Counter("cache_followed_events", "Events of inventory that invalidated what was cached")
logger = logging.getLogger(__name__)


class Follower:
    """Keeps a connection, and follows as long as it is open."""

    def __init__(self, settings: BrokerSettings, versions: Versions) -> None:
        self._versions = versions
        self._channel: Channel | None = None
        self._exchange = exchange_alone(EXCHANGE)
        self._connection = BrokerConnection(settings, NAME, [self._exchange], self)

    def start(self) -> None:
        """Connect, in a thread; what changed since an earlier follower ended counts as missed."""
        self._versions.unfollow()
        self._connection.start()

    def close(self) -> None:
        """Stop following."""
        self._connection.close()
        self._versions.unfollow()

    def opened(self, channel: Channel) -> None:
        """Declare the queue and consume it."""
        self._channel = channel

        def consume(frame: Any) -> None:
            queue = frame.method.queue
            channel.add_on_cancel_callback(lambda _frame: self._connection.end("queue deleted"))
            channel.basic_consume(
                *(queue, self._changed),
                auto_ack=True,
                callback=lambda _frame: self._bind(channel, Binding(queue, EXCHANGE)),
            )

        channel.queue_declare("", exclusive=True, arguments=QUEUE, callback=consume)

    def lost(self, reason: str) -> None:
        """Nothing is followed any more."""
        self._channel = None
        self._versions.unfollow()

    def blocked(self, reason: str | None) -> None:
        """Following publishes nothing."""

    def _bind(self, channel: Channel, binding: Binding) -> None:
        """Bind the queue, again and again: somebody may delete the exchange with its bindings.

        Each answer also shows that the broker is there.
        """
        if channel is self._channel and channel.is_open:
            bound = partial(self._bound, channel, binding)
            self._exchange.declare(channel, lambda: binding.declare(channel, bound))

    def _bound(self, channel: Channel, binding: Binding) -> None:
        self._versions.follow()
        self._connection.later(BEAT_SECONDS, lambda: self._bind(channel, binding))

    def _changed(self, _channel: Channel, _method: Any, _properties: Any, body: bytes) -> None:
        self._versions.change(changed_slots(body))
        FOLLOWED.inc()


@contextmanager
def following(
    broker: BrokerSettings, settings: CacheSettings, directory: Path | None
) -> Iterator[None]:
    """Follow inventory's events for the block, if there is a cache."""
    if directory is None or not is_on(settings, directory):
        yield
        return
    prepare(settings, directory)
    follower = Follower(broker, Versions(directory))
    follower.start()
    try:
        yield
    finally:
        follower.close()


def changed_slots(body: bytes) -> tuple[int, ...]:
    """Return the slots that an event changes; all of them if it is no event of inventory."""
    try:
        event = orjson.loads(body)
        return resources.announced(event["type"], event["data"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return resources.MOVIES.everything, resources.PRODUCTS.everything
