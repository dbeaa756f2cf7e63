"""How the gateway itself is, found out without a request.

Were its database frozen, each request to its own `/ready` would hold one of its threads, until none
is left for those who need no database.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from chassis.errors import first_line
from chassis.health import Check
from gateway.watch import peer
from gateway.watch.peer import AwayError
from gateway.watch.processes import Health
from gateway.watch.rounds import Found, Rounds


class Own:
    """Tries what the gateway can't work without, each thing once at a time."""

    def __init__(self, ready: Sequence[Check]) -> None:
        tasks = {check.name: partial(_try, check) for check in ready}
        self._rounds = Rounds(tasks, peer.SECONDS)

    def health(self) -> Health:
        """Try all of it."""
        began = time.perf_counter()
        found = self._rounds.run()
        milliseconds = round((time.perf_counter() - began) * 1000, 2)
        checks = {name: _check(result, milliseconds) for name, result in found.items()}
        up = all(check["status"] == "up" for check in checks.values())
        return Health("ready" if up else "unready", milliseconds=milliseconds, checks=checks)


def _try(check: Check) -> None:
    try:
        check.check()
    except Exception as error:
        raise AwayError(first_line(error)) from error


def _check(found: Found, milliseconds: float) -> dict[str, Any]:
    if found.failure is None:
        return {"status": "up", "milliseconds": milliseconds}
    return {"status": "down", "detail": found.failure, "milliseconds": milliseconds}
