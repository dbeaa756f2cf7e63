"""What came of one drill."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.drills.checks.findings import BROKEN, LOST, REPEATED, WRONG, Finding

LIMIT_SECONDS = 60.0
"""How long a recovery may take."""


@dataclass(frozen=True)
class Sample:
    """What was true at one moment: seconds since the drill began; None where nobody could say."""

    second: float
    accepted: int
    recorded: int | None
    waiting: int | None


@dataclass
class Result:
    """The figures of one drill, and what was wrong.

    Attributes:
        skipped: why it could not be done here.
        abandoned: whether it could not begin or not be undone, so that no other can follow.
        began: on the clock of `time.monotonic`; `bands` and `marks` are seconds after it.
        recovery: seconds from the end of the fault until all that was accepted before it was
            recorded and a new order completed; None if it never did.
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
        """Say that it could not be undone, beside all that was found before."""
        self.findings = [*self.findings, Finding(BROKEN, "the end", reason)]
        self.abandoned = True

    @property
    def lost(self) -> int:
        """How much that was promised is not there."""
        return sum(finding.verdict == LOST for finding in self.findings)

    @property
    def repeated(self) -> int:
        """How much is there more than once, or is there and must not be."""
        return sum(finding.verdict in (REPEATED, WRONG) for finding in self.findings)

    @property
    def good(self) -> bool:
        """Whether nothing was lost, repeated or answered wrongly, and the recovery was in time."""
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
        """What was done when, in words."""
        return [f"{second:.1f} s: {words}" for second, words in self.marks]
