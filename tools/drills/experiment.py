"""One run of a drill: traffic, a fault in its middle, the recovery, and the checks."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from uuid import uuid4

from provisioning.rabbitmq.definitions import DEAD_LETTERS
from tools.drills.catalogue import Drill
from tools.drills.checks.checker import Checker, once
from tools.drills.checks.findings import BROKEN, Finding
from tools.drills.checks.recovery import Recovery, settle
from tools.drills.fault_context import FaultContext
from tools.drills.faults import Fault
from tools.drills.report.result import LIMIT_SECONDS, Result
from tools.drills.report.timeline import Timeline
from tools.drills.targets.platform import Platform
from tools.drills.workload import fixtures, poison
from tools.drills.workload.client import Client
from tools.drills.workload.crowd import Crowd
from tools.drills.workload.history import Answer, History, Verdict
from tools.drills.workload.load import Load
from tools.drills.workload.request_generator import RequestGenerator
from tools.drills.workload.traffic import Traffic
from tools.stack.errors import StackError
from tools.stack.waiting import wait_until

# shares of the traffic's time: before the fault, and during it
BEFORE, DURING = 0.2, 0.5
Say = Callable[[str], None]


class Experiment:
    """One run of a drill on a platform; `say` receives its progress.

    Raises StackError if the drill can't start.
    """

    def __init__(
        self, drill: Drill, platform: Platform, load: Load, dead: Mapping[str, int], say: Say
    ) -> None:
        """Make the fixtures of the drill.

        Args:
            drill: what to run.
            platform: where to run it.
            load: how much traffic.
            dead: how many messages each dead-letter queue held before.
            say: receives a line of progress, repeatedly.
        """
        self.history = History()
        self.result = Result(drill.name)
        self._drill = drill
        self._platform = platform
        self._load = load
        self._run = uuid4().hex[:8]
        self._say = say
        self._phase = "before the fault"
        self._client = Client(platform.url, platform.token)
        own, stock = fixtures.make(self._client, self._run)
        self._checker = Checker(platform, own, stock, _expected_dead_letters(dead, drill))
        self._generator = RequestGenerator(own, random.Random(load.seed))

    def run(self, fault: Fault) -> Result:
        """Run to the end. Raises Unsuitable if the platform can't do the fault."""
        self.result.began = time.monotonic()
        timeline = Timeline(self._checker, self.history, self.result.began)
        timeline.start()
        try:
            self._with_traffic(fault)
            self._to("checking")
            self._add(settle(self._checker, self.history, self._tell))
        finally:
            timeline.stop()
            self.result.samples = timeline.samples
        try:
            self._count()
            self._add(poison.not_listed(self._platform, self._run, self._drill.poison))
            self._clean()
        except StackError as error:
            self._add([Finding(BROKEN, "the cleanup", str(error))])
        return self.result

    def _add(self, findings: Sequence[Finding]) -> None:
        self.result.findings = [*self.result.findings, *findings]

    def _with_traffic(self, fault: Fault) -> None:
        traffic = Traffic(self._client, self._generator, self.history, self._load.rate)
        crowd = Crowd(self._client, self._generator, self.history)
        traffic.start()
        try:
            self._wait_until(BEFORE * self._load.seconds)
            self._break(fault, crowd)
            self._to("recovering")
            probe = self._generator.probe()
            recovery = Recovery(self._checker, self.history, lambda: self._client.send(probe))
            self.result.recovery = recovery.wait(self._tell)
            self._wait_until(self._load.seconds)
        finally:
            try:
                traffic.stop()
            finally:
                crowd.finish()
        self._add(self._drill.unaffected.findings(self._during()))

    def _break(self, fault: Fault, crowd: Crowd) -> None:
        began = self._second()
        rng = random.Random(f"{self._load.seed} {self._drill.name}")
        seconds = DURING * self._load.seconds
        note, tell = self._note, self._tell
        try:
            fault(FaultContext(self._platform, rng, self._run, seconds, note, tell, crowd.at_work))
        except StackError as error:
            self._add([Finding(BROKEN, "the fault itself", str(error))])
        self.result.band = began, self._second()

    def _during(self) -> list[Answer]:
        """The answers to what was sent while the fault lasted."""
        began, ended = (self.result.began + second for second in self.result.band)
        return [a for a in self.history.answers() if began <= a.at - a.seconds < ended]

    def _wait_until(self, second: float) -> None:
        while (left := second - self._second()) > 0:
            self._tell()
            time.sleep(min(left, 0.2))

    def _second(self) -> float:
        return time.monotonic() - self.result.began

    def _to(self, phase: str) -> None:
        self._phase = phase
        self._tell()

    def _note(self, words: str) -> None:
        self.result.marks.append((self._second(), words))
        self._to(words)

    def _tell(self) -> None:
        counts = self.history.counts()
        figures = ", ".join(f"{counts[v]} {v.value}" for v in Verdict if counts[v])
        self._say(f"{self._drill.name} {self._second():5.1f} s  {self._phase}  {figures}")

    def _count(self) -> None:
        result, answers, entries = self.result, self.history.answers(), self.history.entries()
        counts = self.history.counts()
        result.accepted = counts[Verdict.ACCEPTED]
        result.refused = counts[Verdict.REFUSED]
        result.unanswered = counts[Verdict.UNANSWERED]
        result.improper = sum(map(self._is_improper, answers))
        result.worst = max((a.seconds for a in answers if a.status), default=0.0)
        # last, since it needs the databases
        result.once = once(entries, self._checker.recorded())

    def _is_improper(self, answer: Answer) -> bool:
        silent = answer.verdict is Verdict.UNANSWERED and not self._drill.cuts_clients_off
        return silent or answer.verdict is Verdict.IMPROPER

    def _clean(self) -> None:
        """Leave the platform as the next drill needs it."""
        poison.discard(self._platform, self._run, self._drill.poison)
        wait_until(self._platform.is_healthy, LIMIT_SECONDS, "the platform to be healthy", poll=0.5)


def _expected_dead_letters(dead: Mapping[str, int], drill: Drill) -> dict[str, int]:
    """How many messages each dead-letter queue has to hold in the end."""
    expected = {poison.BILLS + DEAD_LETTERS: 0, **dead}
    for part in drill.poison:
        queue = part.queue + DEAD_LETTERS
        expected[queue] = expected.get(queue, 0) + part.count
    return expected
