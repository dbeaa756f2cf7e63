"""The gateway's request rate, error share and circuits, from the metrics of all its workers."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client.metrics_core import Metric

from chassis import metrics
from chassis.http import circuit_breaker
from chassis.http.app import DURATION

SECONDS = 10.0
PREFIX, WATCHED = "/api/", "/api/status"


class Answered(NamedTuple):
    """Requests since the gateway started: all, and those answered with 5xx."""

    all: float
    failed: float


class Rate(NamedTuple):
    """The traffic of the last `seconds`, and the circuits to upstreams."""

    requests_per_second: float
    error_share: float
    seconds: float
    upstreams: list[dict[str, str]]


class Traffic:
    """A window of ten seconds; it begins with the first reading."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, Answered]] = deque()

    def rate(self) -> Rate:
        """Read the counters, and compare them with the oldest reading in the window."""
        now, families = time.monotonic(), list(metrics.registry().collect())
        answered = _answered(families)
        while self._readings and self._readings[0][0] < now - SECONDS:
            self._readings.popleft()
        self._readings.append((now, answered))
        since, before = self._readings[0]
        requests, failed = answered.all - before.all, answered.failed - before.failed
        seconds = now - since
        return Rate(
            round(requests / seconds, 2) if seconds else 0.0,
            round(failed / requests, 4) if requests else 0.0,
            round(seconds, 1),
            list(_circuits(families)),
        )


def _answered(families: Iterable[Metric]) -> Answered:
    """Count the requests to the API, without those for the status."""
    samples = (
        (sample.labels, sample.value)
        for family in families
        if family.name == DURATION
        for sample in family.samples
        if sample.name == f"{DURATION}_count" and _is_counted(sample.labels["route"])
    )
    counted = [(labels["status"], value) for labels, value in samples]
    failed = (value for status, value in counted if status.startswith("5"))
    return Answered(sum(value for _status, value in counted), sum(failed))


def _circuits(families: Iterable[Metric]) -> Iterator[dict[str, str]]:
    gauges = {
        (sample.name, sample.labels["upstream"]): sample.value
        for family in families
        if family.name in (circuit_breaker.METRIC, circuit_breaker.UNTIL_METRIC)
        for sample in family.samples
    }
    for _metric, upstream in sorted(key for key in gauges if key[0] == circuit_breaker.METRIC):
        state = circuit_breaker.State(int(gauges[circuit_breaker.METRIC, upstream]))
        # the breaker itself leaves the state open at the next call
        if (
            state is circuit_breaker.State.OPEN
            and gauges[circuit_breaker.UNTIL_METRIC, upstream] < time.time()
        ):
            state = circuit_breaker.State.HALF_OPEN
        yield {"name": upstream, "circuit": state.label}


def _is_counted(route: str) -> bool:
    return route.startswith(PREFIX) and route != WATCHED
