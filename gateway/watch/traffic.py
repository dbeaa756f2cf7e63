"""How many requests the gateway answers, all its workers together, and how many in vain."""

import time
from collections import deque
from typing import NamedTuple

from chassis import metrics
from chassis.web import DURATION

SECONDS = 10.0
PREFIX, WATCHED = "/api/", "/api/status"


class Answered(NamedTuple):
    """Requests since the gateway started: all, and those answered with 5xx."""

    all: float
    failed: float


class Rate(NamedTuple):
    """What was answered in the last seconds, `seconds` of them."""

    requests_per_second: float
    error_share: float
    seconds: float


class Traffic:
    """A window of ten seconds; it begins with the first look."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Answered]] = deque()

    def rate(self) -> Rate:
        """Look, and compare with the oldest look in the window."""
        now, answered = time.monotonic(), _answered()
        while self._looks and self._looks[0][0] < now - SECONDS:
            self._looks.popleft()
        self._looks.append((now, answered))
        since, before = self._looks[0]
        requests, failed = answered.all - before.all, answered.failed - before.failed
        seconds = now - since
        return Rate(
            round(requests / seconds, 2) if seconds else 0.0,
            round(failed / requests, 4) if requests else 0.0,
            round(seconds, 1),
        )


def _answered() -> Answered:
    """Count what was asked of the API, without the requests that watch."""
    samples = (
        (sample.labels, sample.value)
        for family in metrics.registry().collect()
        if family.name == DURATION
        for sample in family.samples
        if sample.name == f"{DURATION}_count" and _is_counted(sample.labels["route"])
    )
    counted = [(labels["status"], value) for labels, value in samples]
    failed = (value for status, value in counted if status.startswith("5"))
    return Answered(sum(value for _status, value in counted), sum(failed))


def _is_counted(route: str) -> bool:
    return route.startswith(PREFIX) and route != WATCHED
