"""The gateway's own health, checked without an HTTP request.

While its database is frozen, each request to its own `/ready` would hold one of its threads, until
no thread is left for requests that need no database.
"""

import time
from collections.abc import Sequence
from functools import partial

from chassis.http.health import Check, Result, run_check, verdict
from gateway.status import probe
from gateway.status.probes import ProbeResult, Probes
from gateway.status.processes import Health


class SelfCheck:
    """Checks each part that the gateway needs, never one twice at once."""

    def __init__(self, ready: Sequence[Check]) -> None:
        tasks = {check.name: partial(run_check, check) for check in ready}
        self._probes = Probes(tasks, probe.SECONDS)

    def health(self) -> Health:
        """Check all parts."""
        began = time.perf_counter()
        found = self._probes.run()
        milliseconds = round((time.perf_counter() - began) * 1000, 2)
        checks = {name: _check(result, milliseconds) for name, result in found.items()}
        return Health(verdict(checks), milliseconds=milliseconds, checks=checks)


def _check(found: ProbeResult, milliseconds: float) -> Result:
    """Return the result of a check, or `down` if it has none in time."""
    if found.failure is None:
        result: Result = found.value
        return result
    return {"status": "down", "detail": found.failure, "milliseconds": milliseconds}
