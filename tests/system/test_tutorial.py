"""What the documents show is what happens: each block is run, and its answer compared."""

import re
import time
from collections.abc import Iterator

import pytest

from tests.documents import Identities, Step, match, read
from tests.system.checkout import Checkout
from tests.system.shell import Done, Shell
from tools.stack.servers.data_directories import private_home

SECONDS = 120.0
# what only asks may be asked again until it answers as shown, on a machine slower than a reader
READS = re.compile(
    r"curl (?!.*-(?:X|d) )[^\n]*|\./stack (?:status|logs|psql|trace|run \w+ (?:\w+ )?list)\b[^\n]*"
)
PATIENCE = 60.0
# its exit status says whether all is up, which in a drill it is not
MAY_FAIL = "./stack status"
# a busy machine answers with 503 or 504 now and then, of which the tutorial wants none
PATIENT = 'curl() { command curl --retry 10 --retry-delay 1 "$@"; }'


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A new copy of the checkout whose stack has just been started for the first time."""
    with private_home() as home:
        checkout = Checkout(home)
        try:
            said = checkout.stack("up", seconds=300)
            # it would be installed into what others use, too
            assert "Try:" in said and "Installing" not in said
            yield checkout
        finally:
            checkout.stack("down", "--purge", seconds=120)


class Reader:
    """Somebody who runs a document from its first block to its last."""

    def __init__(self, checkout: Checkout, name: str, prelude: str = ":") -> None:
        self.steps = read(checkout.home / name, checkout.ports)
        self._name = name
        self._shell = Shell(checkout.home, {"NO_COLOR": "1"})
        self._known: Identities = {}
        self._shell.run(prelude, SECONDS)

    def go(self) -> None:
        """Run every step. AssertionError names the first that does not answer as shown."""
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


def test_the_tutorial_answers_as_it_shows(checkout: Checkout) -> None:
    reader = Reader(checkout, "docs/tutorial.md", PATIENT)
    # all but those that define something
    assert all(step.answer for step in reader.steps if "curl" in step.command.split("=")[0])
    reader.go()
