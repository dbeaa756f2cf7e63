"""The result of one drill."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.drills.checks.findings import BROKEN, LOST, REPEATED, WRONG, Finding

LIMIT_SECONDS = 60.0
"""The longest recovery that passes."""


@dataclass(frozen=True)
class Sample:
    """The state at one moment, in seconds since the start; None where it could not be read."""

    second: float
    accepted: int
    recorded: int | None
    waiting: int | None


@dataclass
class Result:
    """The figures and findings of one drill.

    Attributes:
        skipped: why the drill can't run here; empty if it ran.
        abandoned: whether it could not start or be undone, so that no drill can follow.
        began: on the clock of `time.monotonic`; `band` and `marks` are seconds after it.
        recovery: seconds from the end of the fault until everything accepted before its end was
            recorded and a new order completed; None if that did not happen in time.
        left: the directory with the artifacts of a failed drill.
    """

    name: str
    skipped: str = ""
    began: float = 0.0
    accepted: int = 0
    once: int = 0
    refused: int = 0
    unanswered: int = 0
    improper: int = 0
    worst: float = 0.0
    recovery: float | None = None
    findings: Sequence[Finding] = ()
    band: tuple[float, float] = (0.0, 0.0)
    marks: list[tuple[float, str]] = field(default_factory=list)
    samples: Sequence[Sample] = ()
    left: str = ""
    abandoned: bool = False

    def abandon(self, reason: str) -> None:
        """Add that the drill could not be undone, and keep the earlier findings."""
        self.findings = [*self.findings, Finding(BROKEN, "the cleanup", reason)]
        self.abandoned = True

    @property
    def lost(self) -> int:
        """How many promised things are missing."""
        return sum(finding.verdict == LOST for finding in self.findings)

    @property
    def repeated(self) -> int:
        """How many things exist more than once, or must not exist."""
        return sum(finding.verdict in (REPEATED, WRONG) for finding in self.findings)

    @property
    def good(self) -> bool:
        """Whether nothing was lost, duplicated or improperly answered, and recovery was in time."""
        if self.skipped:
            return True
        in_time = self.recovery is not None and self.recovery <= LIMIT_SECONDS
        return in_time and not self.findings and not self.improper

    def figures(self) -> dict[str, object]:
        """All figures by name."""
        names = ("name", "accepted", "once", "lost", "repeated", "refused", "unanswered")
        more = ("improper", "worst", "recovery", "band")
        return {name: getattr(self, name) for name in (*names, *more)}

    def notes(self) -> list[str]:
        """The actions of the drill, each with its second."""
        return [f"{second:.1f} s: {words}" for second, words in self.marks]
