"""Runs the blocks of a document and compares the answers with those shown."""

import re
import time
from collections.abc import Collection

from tests.support.checkout import Checkout
from tests.support.documents import Identities, Step, match, read
from tests.support.shell import Done, Shell

SECONDS = 120.0
# a query may be repeated until it answers as shown, since a machine may be slower than a reader
READS = re.compile(
    r"curl (?!.*-(?:X|d) )[^\n]*|\./stack (?:status|logs|psql|trace|run \w+ (?:\w+ )?list)\b[^\n]*"
)

PATIENCE = 60.0
# its exit status says whether everything is up, which is not so during a drill
MAY_FAIL = "./stack status"
# a busy machine answers with 503 or 504 now and then, which the tutorial does not expect
PATIENT = 'curl() { command curl --retry 10 --retry-delay 1 "$@"; }'


class Reader:
    """Runs a document from its first block to its last."""

    def __init__(
        self, checkout: Checkout, name: str, sections: Collection[str] = (), prelude: str = ":"
    ) -> None:
        self.steps = read(checkout.home / name, checkout.ports, sections)
        self._name = name
        self._shell = Shell(checkout.home, {"NO_COLOR": "1"})
        self._known: Identities = {}
        self._shell.run(prelude, SECONDS)

    def go(self) -> None:
        """Run every step. AssertionError names the first one with another answer."""
        try:
            for step in self.steps:
                self._take(step)
        finally:
            self._shell.close()

    def _take(self, step: Step) -> None:
        deadline = time.monotonic() + PATIENCE
        done = self._shell.run(step.command, SECONDS)
        while (known := match(step.answer, done.lines, self._known)) is None:
            may_come = READS.fullmatch(step.command) and time.monotonic() < deadline
            assert may_come, self._sentence(step, done)
            time.sleep(0.5)
            done = self._shell.run(step.command, SECONDS)
        assert done.status == 0 or MAY_FAIL in step.command, self._sentence(step, done)
        self._known = known

    def _sentence(self, step: Step, done: Done) -> str:
        came = "\n".join(done.lines)
        shown = "\n".join(step.answer) or "(nothing)"
        place = f"{self._name}, line {step.line}, exit status {done.status}"
        return f"{place}:\n{step.command}\nshown:\n{shown}\ncame:\n{came}"
