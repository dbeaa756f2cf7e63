"""Queues, exchanges and bindings that must exist before anything is published or consumed.

topology.yml lists them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
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
DIRECT = ""
"""The exchange of messages that are sent to a queue by its name; AMQP calls it the default."""


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
    exchanges = dict.fromkeys(exchange for exchange, _key in known.bindings)
    # before a binding is removed, the queue that gets its events now must be bound
    former = dict.fromkeys(exchange for exchange, _key in known.former)
    parts = [
        *_queues(known, broker),
        *(exchange_alone(exchange) for exchange in exchanges),
        *(Binding(name, exchange, key) for exchange, key in known.bindings),
        *(part for exchange in former for part in of_exchange(exchange, broker)),
        *(FormerBinding(name, exchange, key) for exchange, key in known.former),
    ]
    return list(dict.fromkeys(parts))


def of_exchange(exchange: str, broker: BrokerSettings) -> Topology:
    """Return what must exist before anything is published to an exchange: all that is bound to it.

    While a queue is missing, an event is lost to it, although another queue accepts it.
    """
    parts: list[Queue | Exchange | Binding] = [exchange_alone(exchange)]
    for queue in read_topology().queues:
        if keys := [key for bound, key in queue.bindings if bound == exchange]:
            name = broker.name_of(queue)
            parts += [*_queues(queue, broker), *(Binding(name, exchange, key) for key in keys)]
    return parts


def exchange_alone(name: str) -> Exchange:
    """Return an exchange of topology.yml, without what is bound to it."""
    return Exchange(name, read_topology().exchanges[name])


def _queues(queue: topology.Queue, broker: BrokerSettings) -> list[Queue]:
    name = broker.name_of(queue)
    is_consumed = queue in read_topology().consumed
    return [Queue(name), Queue(dead_letter_queue(name))] if is_consumed else [Queue(name)]


def check_reactions(queue: topology.Queue, reactions: Mapping[str, str]) -> None:
    """Check that a binding of a queue brings each type of event that its handler reacts to.

    A former binding does, too, if the queue is no longer bound to its exchange: events that it has
    brought may still wait.

    Args:
        queue: a queue of events.
        reactions: the exchange of each of these types; `DIRECT` for one that needs no binding.

    Raises:
        SettingsError: names the bindings that topology.yml lacks.
    """
    bound = {exchange for exchange, _key in queue.bindings}
    left = [binding for binding in queue.former if binding[0] not in bound]
    faults = [
        f"no binding brings {type} from {exchange}"
        for type, exchange in reactions.items()
        if exchange != DIRECT
        and not any(_brings(binding, exchange, type) for binding in (*queue.bindings, *left))
    ]
    if faults:
        raise SettingsError(f"topology.yml: {queue.name}: {', '.join(faults)}")


def unused_bindings(queue: topology.Queue, reactions: Mapping[str, str]) -> list[str]:
    """Return the bindings of a queue that bring nothing its handler reacts to, in words.

    Args:
        queue: a queue of events.
        reactions: as in `check_reactions`.
    """
    return [
        f"{key} of {exchange}"
        for exchange, key in queue.bindings
        if not any(_brings((exchange, key), own, type) for type, own in reactions.items())
    ]


def _brings(binding: tuple[str, str], exchange: str, type: str) -> bool:
    """Return whether a binding brings a type of event that is published to an exchange."""
    bound, key = binding
    if bound != exchange:
        return False
    is_fanout = read_topology().exchanges[exchange] == "fanout"
    return is_fanout or _matches(key.split("."), type.split("."))


def _matches(key: Sequence[str], words: Sequence[str]) -> bool:
    """Return whether a topic exchange's key matches: `*` is one word, `#` any number of words."""
    if not key:
        return not words
    first, *others = key
    if first == "#":
        return any(_matches(others, words[taken:]) for taken in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _matches(others, words[1:])


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
