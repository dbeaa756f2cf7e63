"""Takes snapshots of the whole platform, over kept connections; document.py shows them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from chassis.http.health import Check
from chassis.messaging.declarations import dead_letter_queue
from chassis.settings import BrokerSettings, Upstream
from gateway.cache.cached_proxy import Cache
from gateway.status import cache, gauges, records, ssh
from gateway.status.gauges import InFlight
from gateway.status.platform import Platform
from gateway.status.probe import Probe
from gateway.status.probes import UNKNOWN, ProbeResult, Probes, Task
from gateway.status.processes import health
from gateway.status.queues import Depth, QueueProbe
from gateway.status.self_check import SelfCheck
from gateway.status.traffic import Traffic

Part = Mapping[str, ProbeResult]


class Snapshot(NamedTuple):
    """The results of all probes; those of processes by the key of the process."""

    health: Part
    outboxes: Part
    in_flight: Part
    ssh: Part
    queues: ProbeResult = UNKNOWN
    orders: ProbeResult = UNKNOWN
    bills: ProbeResult = UNKNOWN
    traffic: ProbeResult = UNKNOWN
    cache: ProbeResult | None = None


EMPTY = Snapshot({}, {}, {}, {})


class Sources(NamedTuple):
    """What to probe; `ready` are the parts that the gateway itself needs; without a cache, None."""

    platform: Platform
    broker: BrokerSettings
    orders: Upstream
    billing: Upstream
    ready: Sequence[Check]
    cache: Cache | None = None


class Prober:
    """Probes the whole platform repeatedly."""

    def __init__(self, sources: Sources) -> None:
        """Connect to the broker; to the others at their first probe."""
        platform = sources.platform
        self._process_probes = {p.key: Probe(p.address, p.port) for p in platform.processes()}
        self._processes = {p.key: p.name for p in platform.processes()}
        self._own_key = platform.own
        self._relays = {p.key: Probe(p.address, p.port) for p in platform.relays()}
        self._consumers = {c.key: InFlight(c) for c in platform.consumers()}
        self._machines = {m.name: m.address for m in platform.machines if not m.is_this}
        self._self_check = SelfCheck(sources.ready)
        self._cache = sources.cache
        self._orders = Probe(sources.orders.host, sources.orders.port)
        self._billing = Probe(sources.billing.host, sources.billing.port)
        self._queues = QueueProbe(sources.broker, watched_queues(platform))
        self._depths: Mapping[str, Depth | None] = {}
        self._probes = Probes(dict(self._tasks()))
        self._queues.start()

    def snapshot(self) -> Snapshot:
        """Probe everything once."""
        found = self._probes.run()
        depths = found["queues"].value
        self._depths = depths.queues if depths else {}
        return Snapshot(
            {name: found[f"health {name}"] for name in self._process_probes},
            {name: found[f"outbox {name}"] for name in self._relays},
            {name: found[f"in flight {name}"] for name in self._consumers},
            {name: found[f"ssh {name}"] for name in self._machines},
            *(found[part] for part in ("queues", "orders", "bills", "traffic")),
        )._replace(cache=found.get("cache"))

    def close(self) -> None:
        """Close all connections."""
        self._queues.close()
        for probe in (
            *self._process_probes.values(),
            *self._relays.values(),
            self._orders,
            self._billing,
        ):
            probe.close()
        for consumer in self._consumers.values():
            consumer.close()

    def _tasks(self) -> Iterator[tuple[str, Task]]:
        for key, probe in self._process_probes.items():
            ask = partial(health, self._processes[key], probe)
            yield f"health {key}", self._self_check.health if key == self._own_key else ask
        for name, probe in self._relays.items():
            yield f"outbox {name}", partial(gauges.outbox, probe)
        for name, consumer in self._consumers.items():
            yield f"in flight {name}", partial(self._in_flight, consumer)
        for name, address in self._machines.items():
            yield f"ssh {name}", partial(ssh.is_up, address)
        yield "queues", self._queues.read
        yield "orders", partial(records.orders, self._orders)
        yield "bills", partial(records.bills, self._billing)
        yield "traffic", Traffic().rate
        if self._cache is not None:
            yield "cache", partial(cache.read, self._cache)

    def _in_flight(self, consumer: InFlight) -> Any:
        return consumer.count(self._depths)


def watched_queues(platform: Platform) -> list[str]:
    """Return the names of all queues: the consumed ones, their dead letter queues, the others."""
    consumed = platform.consumed_queues()
    return [*consumed, *map(dead_letter_queue, consumed), *platform.others]
