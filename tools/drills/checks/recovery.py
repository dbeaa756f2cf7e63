"""When a platform has recovered, and when all is settled."""

import time
from collections.abc import Callable, Sequence

from tools.drills.checks.checker import Judge
from tools.drills.checks.findings import WRONG, Finding
from tools.drills.report.result import LIMIT_SECONDS
from tools.drills.workload.history import Answer, Entry, Ledger, Verdict
from tools.stack.errors import StackError

POLL_SECONDS = 0.5
Tell = Callable[[], None]


class Recovery:
    """The recovery that begins now, of what was accepted until now."""

    def __init__(self, judge: Judge, ledger: Ledger, probe: Callable[[], Answer]) -> None:
        """Begin.

        Args:
            judge: knows what is recorded.
            ledger: knows what was accepted.
            probe: asks for an order, always the same one.
        """
        self._judge = judge
        self._ledger = ledger
        self._probe = probe
        self._began = time.monotonic()
        self._accepted = ledger.accepted()
        self._order: Entry | None = None

    def wait(self, tell: Tell) -> float | None:
        """Wait until it is over; returns its seconds, None if it takes too long.

        It is over when all that was accepted before it is recorded, and an order that was placed in
        it has been completed.
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
            self._ledger.add(answer)
            if answer.verdict is not Verdict.ACCEPTED or answer.id is None:
                return False
            self._order = Entry(answer.request, frozenset([answer.id]))
        try:
            missing = self._judge.missing([*self._accepted, self._order])
            return not missing and self._judge.is_completed(self._order)
        except StackError:
            return False


def settle(judge: Judge, ledger: Ledger, tell: Tell) -> Sequence[Finding]:
    """Wait until nothing is wrong any more; returns what still is when that takes too long."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            found = judge.findings(ledger.entries())
        except StackError as error:
            found = [Finding(WRONG, "judge", str(error))]
        if not found or time.monotonic() > deadline:
            return found
        tell()
        time.sleep(POLL_SECONDS)
