"""Figures of other processes, read from their `/metrics`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from gateway.status.platform import Consumers
from gateway.status.probe import Probe, ProbeError
from gateway.status.queues import Depth

INSTANCES = 16  # of a process; chassis.http.worker_process looks for a port as often
BACKLOG, LAG, IN_FLIGHT = "outbox_backlog", "outbox_lag_seconds", "messages_in_flight"
Gauge = tuple[str, Mapping[str, str], float]


class Outbox(NamedTuple):
    """The backlog of an outbox: its messages, and the age of the oldest in seconds."""

    backlog: int
    lag_seconds: float


def outbox(probe: Probe) -> Outbox:
    """Ask a relay for the backlog of its outbox.

    Raises:
        ProbeError: the relay does not answer, or reports no outbox.
    """
    found = {name: value for name, _labels, value in _gauges(probe, BACKLOG, LAG)}
    if found.keys() != {BACKLOG, LAG}:
        raise ProbeError("its metrics report no outbox")
    return Outbox(int(found[BACKLOG]), round(found[LAG], 3))


class InFlight:
    """Counts the messages in flight in all instances of consumers of the same queues."""

    def __init__(self, consumers: Consumers) -> None:
        self._queues = consumers.queues
        self._probes = [(at, Probe(at, port)) for at, port in _addresses(consumers)]

    def count(self, depths: Mapping[str, Depth | None]) -> dict[str, int]:
        """Return the messages in flight by queue.

        The sum is over as many instances as the broker has consumers; one, if that is unknown.

        Raises:
            ProbeError: an instance does not answer.
        """
        known = [depth.consumers for queue in self._queues if (depth := depths.get(queue))]
        wanted = max(known, default=1)
        counted: Counter[str] = Counter(dict.fromkeys(self._queues, 0))
        unreachable: set[str] = set()
        for address, probe in self._probes:
            if wanted <= 0:
                break
            if address in unreachable:
                continue
            try:
                found = self._of_instance(probe)
            except ProbeError:
                unreachable.add(address)
                continue
            counted.update(found)
            wanted -= bool(found)
        if wanted > 0:
            raise ProbeError("not all of its instances report their messages in flight")
        return dict(counted)

    def close(self) -> None:
        """Close the kept connections."""
        for _address, probe in self._probes:
            probe.close()

    def _of_instance(self, probe: Probe) -> dict[str, int]:
        """Return one instance's messages in flight; none if the port is another process's, or free.

        Raises:
            ProbeError: its machine does not answer.
        """
        try:
            gauges = list(_gauges(probe, IN_FLIGHT))
        except ProbeError as error:
            if not error.reached:
                raise
            return {}
        found = {labels["queue"]: int(value) for _name, labels, value in gauges}
        return {queue: count for queue, count in found.items() if queue in self._queues}


def _addresses(consumers: Consumers) -> Iterator[tuple[str, int]]:
    """Yield where instances may be, each address once; the first instance of each process first."""
    ports = [
        (p.address, p.port + further) for further in range(INSTANCES) for p in consumers.processes
    ]
    yield from dict.fromkeys((address, port) for address, port in ports if port < 65536)


def _gauges(probe: Probe, *names: str) -> Iterator[Gauge]:
    answer = probe.get("/metrics")
    if answer.status != 200:
        raise ProbeError(f"answered {answer.status}")
    # the parser is slow, and most lines are of other metrics
    lines = (line for line in answer.data.decode().splitlines() if line.startswith(names))
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if sample.name in names:
                yield sample.name, sample.labels, sample.value
