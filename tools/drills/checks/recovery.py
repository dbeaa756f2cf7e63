"""Waits until a platform has recovered, and until everything is settled."""

import time
from collections.abc import Callable, Sequence

from tools.drills.checks.checker import Checker
from tools.drills.checks.findings import WRONG, Finding
from tools.drills.report.result import LIMIT_SECONDS
from tools.drills.workload.history import Answer, Entry, History, Verdict
from tools.stack.errors import StackError

POLL_SECONDS = 0.5
Tell = Callable[[], None]


class Recovery:
    """A recovery that starts now, of everything that was accepted until now."""

    def __init__(self, checker: Checker, history: History, probe: Callable[[], Answer]) -> None:
        """Start the clock.

        Args:
            checker: knows what is recorded.
            history: knows what was accepted.
            probe: places an order, always the same one.
        """
        self._checker = checker
        self._history = history
        self._probe = probe
        self._began = time.monotonic()
        self._accepted = history.accepted()
        self._order: Entry | None = None

    def wait(self, tell: Tell) -> float | None:
        """Wait until it is over; returns how many seconds it took, None if it takes too long.

        It is over when everything accepted before it is recorded, and an order placed during it is
        completed.
        """
        while time.monotonic() - self._began <= LIMIT_SECONDS:
            if self._is_over():
                return time.monotonic() - self._began
            tell()
            time.sleep(POLL_SECONDS)
        return None

    def _is_over(self) -> bool:
        if self._order is None:
            answer = self._probe()
            self._history.add(answer)
            if answer.verdict is not Verdict.ACCEPTED or answer.id is None:
                return False
            self._order = Entry(answer.request, frozenset([answer.id]))
        try:
            missing = self._checker.missing([*self._accepted, self._order])
            return not missing and self._checker.is_completed(self._order)
        except StackError:
            return False


def settle(checker: Checker, history: History, tell: Tell) -> Sequence[Finding]:
    """Wait until nothing is wrong; returns what still is after the longest recovery."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            found = checker.findings(history.entries())
        except StackError as error:
            found = [Finding(WRONG, "checker", str(error))]
        if not found or time.monotonic() > deadline:
            return found
        tell()
        time.sleep(POLL_SECONDS)
