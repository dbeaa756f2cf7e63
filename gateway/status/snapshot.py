"""One survey after the other of the whole platform, over connections that are kept."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from chassis.http.health import Check
from chassis.messaging.topology import dead_letter_queue
from chassis.settings import BrokerSettings, Upstream
from gateway.status import gauges, records, ssh
from gateway.status.gauges import InFlight
from gateway.status.platform import Platform
from gateway.status.probe import Peer
from gateway.status.probes import UNKNOWN, Found, Rounds, Task
from gateway.status.processes import health
from gateway.status.queues import Depth, QueueWatch
from gateway.status.self_check import Own
from gateway.status.traffic import Traffic

Part = Mapping[str, Found]


class Survey(NamedTuple):
    """What was found; of the parts with many pieces, each by the key of its process."""

    health: Part
    outboxes: Part
    in_flight: Part
    ssh: Part
    queues: Found = UNKNOWN
    orders: Found = UNKNOWN
    bills: Found = UNKNOWN
    traffic: Found = UNKNOWN


NOTHING = Survey({}, {}, {}, {})


class Places(NamedTuple):
    """Where to look; `ready` is what the gateway itself can't work without."""

    platform: Platform
    broker: BrokerSettings
    orders: Upstream
    billing: Upstream
    ready: Sequence[Check]


class Surveyor:
    """Asks everything there is, again and again."""

    def __init__(self, places: Places) -> None:
        """Connect to the broker; to the others when they are asked."""
        platform = places.platform
        self._peers = {p.key: Peer(p.address, p.port) for p in platform.processes()}
        self._processes = {p.key: p.name for p in platform.processes()}
        self._own_key = platform.own
        self._relays = {p.key: Peer(p.address, p.port) for p in platform.relays()}
        self._consumers = {c.key: InFlight(c) for c in platform.consumers()}
        self._machines = {m.name: m.address for m in platform.machines if not m.is_this}
        self._own = Own(places.ready)
        self._orders = Peer(places.orders.host, places.orders.port)
        self._billing = Peer(places.billing.host, places.billing.port)
        self._queues = QueueWatch(places.broker, watched_queues(platform))
        self._depths: Mapping[str, Depth | None] = {}
        self._rounds = Rounds(dict(self._tasks()))
        self._queues.start()

    def survey(self) -> Survey:
        """Ask everything once."""
        found = self._rounds.run()
        depths = found["queues"].value
        self._depths = depths.queues if depths else {}
        return Survey(
            {name: found[f"health {name}"] for name in self._peers},
            {name: found[f"outbox {name}"] for name in self._relays},
            {name: found[f"in flight {name}"] for name in self._consumers},
            {name: found[f"ssh {name}"] for name in self._machines},
            *(found[part] for part in ("queues", "orders", "bills", "traffic")),
        )

    def close(self) -> None:
        """Close all connections."""
        self._queues.close()
        for peer in (*self._peers.values(), *self._relays.values(), self._orders, self._billing):
            peer.close()
        for consumer in self._consumers.values():
            consumer.close()

    def _tasks(self) -> Iterator[tuple[str, Task]]:
        for key, peer in self._peers.items():
            ask = partial(health, self._processes[key], peer)
            yield f"health {key}", self._own.health if key == self._own_key else ask
        for name, peer in self._relays.items():
            yield f"outbox {name}", partial(gauges.outbox, peer)
        for name, consumer in self._consumers.items():
            yield f"in flight {name}", partial(self._in_flight, consumer)
        for name, address in self._machines.items():
            yield f"ssh {name}", partial(ssh.is_up, address)
        yield "queues", self._queues.look
        yield "orders", partial(records.orders, self._orders)
        yield "bills", partial(records.bills, self._billing)
        yield "traffic", Traffic().rate

    def _in_flight(self, consumer: InFlight) -> Any:
        return consumer.count(self._depths)


def watched_queues(platform: Platform) -> list[str]:
    """Return the names of all queues: those that are consumed, their dead letters, the others."""
    consumed = platform.consumed_queues()
    return [*consumed, *map(dead_letter_queue, consumed), *platform.others]
