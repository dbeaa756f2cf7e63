"""How the gateway itself is, found out without a request.

Were its database frozen, each request to its own `/ready` would hold one of its threads, until none
is left for those who need no database.
"""

import time
from collections.abc import Sequence
from functools import partial

from chassis.http.health import Check, Result, tried, verdict
from gateway.status import probe
from gateway.status.probes import Found, Rounds
from gateway.status.processes import Health


class Own:
    """Tries what the gateway can't work without, each thing once at a time."""

    def __init__(self, ready: Sequence[Check]) -> None:
        tasks = {check.name: partial(tried, check) for check in ready}
        self._rounds = Rounds(tasks, probe.SECONDS)

    def health(self) -> Health:
        """Try all of it."""
        began = time.perf_counter()
        found = self._rounds.run()
        milliseconds = round((time.perf_counter() - began) * 1000, 2)
        checks = {name: _check(result, milliseconds) for name, result in found.items()}
        return Health(verdict(checks), milliseconds=milliseconds, checks=checks)


def _check(found: Found, milliseconds: float) -> Result:
    """Return what came of a check, or that nothing came of it in time."""
    if found.failure is None:
        result: Result = found.value
        return result
    return {"status": "down", "detail": found.failure, "milliseconds": milliseconds}
