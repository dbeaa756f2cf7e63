"""Figures that other processes keep: read from their `/metrics`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from gateway.status.platform import Consumers
from gateway.status.probe import AwayError, Peer
from gateway.status.queues import Depth

INSTANCES = 16  # of a process; as many find a port, see chassis.http.process
BACKLOG, LAG, IN_FLIGHT = "outbox_backlog", "outbox_lag_seconds", "messages_in_flight"
Gauge = tuple[str, Mapping[str, str], float]


class Outbox(NamedTuple):
    """What waits in an outbox: how many messages, and for how many seconds the oldest of them."""

    backlog: int
    lag_seconds: float


def outbox(peer: Peer) -> Outbox:
    """Ask a relay for its outbox.

    Raises:
        AwayError: it does not say.
    """
    found = {name: value for name, _labels, value in _gauges(peer, BACKLOG, LAG)}
    if found.keys() != {BACKLOG, LAG}:
        raise AwayError("its metrics tell of no outbox")
    return Outbox(int(found[BACKLOG]), round(found[LAG], 3))


class InFlight:
    """What all instances of consumers of the same queues have in hand, by queue."""

    def __init__(self, consumers: Consumers) -> None:
        self._queues = consumers.queues
        self._peers = [(at, Peer(at, port)) for at, port in _places(consumers)]

    def count(self, depths: Mapping[str, Depth | None]) -> dict[str, int]:
        """Add up over as many instances as the broker has consumers, or one if that is not known.

        Raises:
            AwayError: not all of them say.
        """
        known = [depth.consumers for queue in self._queues if (depth := depths.get(queue))]
        wanted = max(known, default=1)
        counted: Counter[str] = Counter(dict.fromkeys(self._queues, 0))
        unreachable: set[str] = set()
        for address, peer in self._peers:
            if wanted <= 0:
                break
            if address in unreachable:
                continue
            try:
                found = self._of_instance(peer)
            except AwayError:
                unreachable.add(address)
                continue
            counted.update(found)
            wanted -= bool(found)
        if wanted > 0:
            raise AwayError("not all of its instances say what they have in hand")
        return dict(counted)

    def close(self) -> None:
        """Close the connections that are kept."""
        for _address, peer in self._peers:
            peer.close()

    def _of_instance(self, peer: Peer) -> dict[str, int]:
        """What one has in hand; nothing if there is none, or it is another process.

        Raises:
            AwayError: its machine does not answer.
        """
        try:
            gauges = list(_gauges(peer, IN_FLIGHT))
        except AwayError as error:
            if not error.reached:
                raise
            return {}
        found = {labels["queue"]: int(value) for _name, labels, value in gauges}
        return {queue: count for queue, count in found.items() if queue in self._queues}


def _places(consumers: Consumers) -> Iterator[tuple[str, int]]:
    """Return where instances may be: first those that there surely are, each place once."""
    ports = [
        (p.address, p.port + further) for further in range(INSTANCES) for p in consumers.processes
    ]
    yield from dict.fromkeys((address, port) for address, port in ports if port < 65536)


def _gauges(peer: Peer, *names: str) -> Iterator[Gauge]:
    answer = peer.get("/metrics")
    if answer.status != 200:
        raise AwayError(f"answered {answer.status}")
    # the parser is slow, and the others are many
    lines = (line for line in answer.data.decode().splitlines() if line.startswith(names))
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if sample.name in names:
                yield sample.name, sample.labels, sample.value
