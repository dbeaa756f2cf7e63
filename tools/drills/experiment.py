"""The course of one drill: traffic, a fault in its middle, the recovery, and the judgement."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from uuid import uuid4

from provisioning.rabbitmq.definitions import DEAD_LETTERS
from tools.drills.catalogue import Drill
from tools.drills.checks.checker import Judge, once
from tools.drills.checks.findings import BROKEN, Finding
from tools.drills.checks.recovery import Recovery, settle
from tools.drills.fault_context import Scene
from tools.drills.faults import Fault
from tools.drills.report.result import LIMIT_SECONDS, Result
from tools.drills.report.timeline import Timeline
from tools.drills.targets.platform import Platform
from tools.drills.workload import fixtures, poison
from tools.drills.workload.client import Client
from tools.drills.workload.crowd import Crowd
from tools.drills.workload.history import Answer, Ledger, Verdict
from tools.drills.workload.load import Load
from tools.drills.workload.request_generator import Mix
from tools.drills.workload.traffic import Traffic
from tools.stack.errors import StackError
from tools.stack.waiting import wait_until

# of the traffic's time: before the fault, and how long it lasts
BEFORE, DURING = 0.2, 0.5
Say = Callable[[str], None]


class Course:
    """One run of a drill on a platform; what goes on is told to `say`.

    Raises StackError if the drill can't begin.
    """

    def __init__(
        self, drill: Drill, platform: Platform, load: Load, dead: Mapping[str, int], say: Say
    ) -> None:
        """Make what the drill needs.

        Args:
            drill: which one.
            platform: what it acts on.
            load: how much traffic.
            dead: how many messages were among the dead letters before.
            say: is told what goes on, again and again.
        """
        self.ledger = Ledger()
        self.result = Result(drill.name)
        self._drill = drill
        self._platform = platform
        self._load = load
        self._run = uuid4().hex[:8]
        self._say = say
        self._phase = "before the fault"
        self._client = Client(platform.url, platform.token)
        own, stock = fixtures.make(self._client, self._run)
        self._judge = Judge(platform, own, stock, _belonging(dead, drill))
        self._mix = Mix(own, random.Random(load.seed))

    def run(self, fault: Fault) -> Result:
        """Run it to its end. Raises Unsuitable."""
        self.result.began = time.monotonic()
        timeline = Timeline(self._judge, self.ledger, self.result.began)
        timeline.start()
        try:
            self._with_traffic(fault)
            self._to("judging")
            self._found(settle(self._judge, self.ledger, self._tell))
        finally:
            timeline.stop()
            self.result.samples = timeline.samples
        try:
            self._count()
            self._found(poison.unlisted(self._platform, self._run, self._drill.poison))
            self._clean()
        except StackError as error:
            self._found([Finding(BROKEN, "the end", str(error))])
        return self.result

    def _found(self, findings: Sequence[Finding]) -> None:
        self.result.findings = [*self.result.findings, *findings]

    def _with_traffic(self, fault: Fault) -> None:
        traffic = Traffic(self._client, self._mix, self.ledger, self._load.rate)
        crowd = Crowd(self._client, self._mix, self.ledger)
        traffic.start()
        try:
            self._wait_until(BEFORE * self._load.seconds)
            self._break(fault, crowd)
            self._to("recovering")
            probe = self._mix.probe()
            recovery = Recovery(self._judge, self.ledger, lambda: self._client.send(probe))
            self.result.recovery = recovery.wait(self._tell)
            self._wait_until(self._load.seconds)
        finally:
            try:
                traffic.stop()
            finally:
                crowd.finish()
        self._found(self._drill.going_on.findings(self._during()))

    def _break(self, fault: Fault, crowd: Crowd) -> None:
        began = self._second()
        chance = random.Random(f"{self._load.seed} {self._drill.name}")
        seconds = DURING * self._load.seconds
        note, tell = self._note, self._tell
        try:
            fault(Scene(self._platform, chance, self._run, seconds, note, tell, crowd.at_work))
        except StackError as error:
            self._found([Finding(BROKEN, "the fault itself", str(error))])
        self.result.band = began, self._second()

    def _during(self) -> list[Answer]:
        """The answers to what was sent while the fault lasted."""
        began, ended = (self.result.began + second for second in self.result.band)
        return [a for a in self.ledger.answers() if began <= a.at - a.seconds < ended]

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
        counts = self.ledger.counts()
        figures = ", ".join(f"{counts[v]} {v.value}" for v in Verdict if counts[v])
        self._say(f"{self._drill.name} {self._second():5.1f} s  {self._phase}  {figures}")

    def _count(self) -> None:
        result, answers, entries = self.result, self.ledger.answers(), self.ledger.entries()
        counts = self.ledger.counts()
        result.accepted = counts[Verdict.ACCEPTED]
        result.refused = counts[Verdict.REFUSED]
        result.unanswered = counts[Verdict.UNANSWERED]
        result.improper = sum(map(self._is_improper, answers))
        result.worst = max((a.seconds for a in answers if a.status), default=0.0)
        # last: it needs the databases
        result.once = once(entries, self._judge.recorded())

    def _is_improper(self, answer: Answer) -> bool:
        silent = answer.verdict is Verdict.UNANSWERED and not self._drill.cuts_clients_off
        return silent or answer.verdict is Verdict.IMPROPER

    def _clean(self) -> None:
        """Leave the platform as the next drill wants it."""
        poison.discard(self._platform, self._run, self._drill.poison)
        wait_until(self._platform.is_whole, LIMIT_SECONDS, "the platform to be whole", poll=0.5)


def _belonging(dead: Mapping[str, int], drill: Drill) -> dict[str, int]:
    """How many messages belong into each dead-letter queue in the end."""
    belong = {poison.BILLS + DEAD_LETTERS: 0, **dead}
    for part in drill.poison:
        queue = part.queue + DEAD_LETTERS
        belong[queue] = belong.get(queue, 0) + part.count
    return belong
