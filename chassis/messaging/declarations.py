"""Queues, exchanges and bindings that must exist before anything is published or consumed.

topology.yml lists them.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chassis import topology
from chassis.errors import SettingsError
from chassis.settings import BrokerSettings
from chassis.topology_file import read_topology

if TYPE_CHECKING:
    from pika.channel import Channel

DECLARE_SECONDS = 60.0  # between declarations, as somebody may have removed something
QUORUM = {"x-queue-type": "quorum"}


@dataclass(frozen=True)
class Queue:
    """A durable quorum queue."""

    name: str

    def declare(self, channel: "Channel", then: Callable[[], None]) -> None:
        """Declare it on the connection's own thread, then go on."""
        channel.queue_declare(
            self.name, durable=True, arguments=QUORUM, callback=lambda _frame: then()
        )


@dataclass(frozen=True)
class Exchange:
    """A durable exchange of kind `fanout` or `topic`."""

    name: str
    kind: str

    def declare(self, channel: "Channel", then: Callable[[], None]) -> None:
        """Declare it on the connection's own thread, then go on."""
        channel.exchange_declare(self.name, self.kind, durable=True, callback=lambda _frame: then())


@dataclass(frozen=True)
class Binding:
    """Which messages of an exchange a queue receives: all, unless `routing_key` is given."""

    queue: str
    exchange: str
    routing_key: str = "#"

    def declare(self, channel: "Channel", then: Callable[[], None]) -> None:
        """Declare it on the connection's own thread, then go on."""
        channel.queue_bind(
            self.queue, self.exchange, self.routing_key, callback=lambda _frame: then()
        )


@dataclass(frozen=True)
class FormerBinding(Binding):
    """A binding of an earlier version, which is removed; it may not exist any more."""

    def declare(self, channel: "Channel", then: Callable[[], None]) -> None:
        """Remove it on the connection's own thread, then go on."""
        channel.queue_unbind(
            self.queue, self.exchange, self.routing_key, callback=lambda _frame: then()
        )


Topology = Iterable[Queue | Exchange | Binding]


def of_queue(queue: str, broker: BrokerSettings) -> Topology:
    """Return what must exist before a queue is consumed: its dead letters and its bindings, too.

    Args:
        queue: its name in topology.yml.
        broker: has the name that a variable may give it.
    """
    known = read_topology().queue(queue)
    name = broker.name_of(known)
    exchanges = dict.fromkeys(exchange for exchange, _key in (*known.bindings, *known.former))
    return [
        *_queues(known, broker),
        *(_exchange(exchange) for exchange in exchanges),
        *(Binding(name, exchange, key) for exchange, key in known.bindings),
        *(FormerBinding(name, exchange, key) for exchange, key in known.former),
    ]


def of_exchange(exchange: str, broker: BrokerSettings) -> Topology:
    """Return what must exist before anything is published to an exchange: all that is bound to it.

    While a queue is missing, an event is lost to it, although another queue accepts it.
    """
    parts: list[Queue | Exchange | Binding] = [_exchange(exchange)]
    for queue in read_topology().queues:
        if keys := [key for bound, key in queue.bindings if bound == exchange]:
            name = broker.name_of(queue)
            parts += [*_queues(queue, broker), *(Binding(name, exchange, key) for key in keys)]
    return parts


def _exchange(name: str) -> Exchange:
    return Exchange(name, read_topology().exchanges[name])


def _queues(queue: topology.Queue, broker: BrokerSettings) -> list[Queue]:
    name = broker.name_of(queue)
    is_consumed = queue in read_topology().consumed
    return [Queue(name), Queue(dead_letter_queue(name))] if is_consumed else [Queue(name)]


def check_reactions(queue: topology.Queue, types: Collection[str]) -> None:
    """Check that the bindings of a queue bring what is reacted to, and nothing else.

    Args:
        queue: a queue of events.
        types: the types of events that its handler reacts to.

    Raises:
        SettingsError: names what topology.yml lacks, or has for nobody.
    """
    keys = [key for _exchange, key in queue.bindings]
    unbound = [type for type in types if not any(_brings(key, type) for key in keys)]
    unused = [key for key in keys if not any(_brings(key, type) for type in types)]
    if unbound or unused:
        faults = [f"no binding brings {type}" for type in unbound]
        faults += [f"nothing reacts to {key}" for key in unused]
        raise SettingsError(f"topology.yml: {queue.name}: {', '.join(faults)}")


def _brings(key: str, type: str) -> bool:
    """Return whether a binding matches: `*` is one word, `#` any words."""
    pattern = re.escape(key).replace(r"\*", r"[^.]+").replace(r"\#", ".*")
    return re.fullmatch(pattern, type) is not None


def declare(topology: Topology, channel: "Channel", then: Callable[[], None]) -> None:
    """Declare all parts, one after the other, then go on; on the connection's thread."""
    parts = list(topology)
    if not parts:
        then()
        return
    parts[0].declare(channel, lambda: declare(parts[1:], channel, then))


def dead_letter_queue(queue: str) -> str:
    """Return the name of the queue for messages of `queue` that can't be processed."""
    return f"{queue}.dlq"
