"""What has to be answered as ever while a fault lasts."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.drills.checks.findings import SLOW, Finding
from tools.drills.workload.history import Answer, Verdict

SOON_SECONDS = 3.0
"""Within which an answer counts."""


@dataclass(frozen=True)
class GoingOn:
    """How much of which requests has to be answered soon, as if nothing were broken.

    Attributes:
        kinds: of the requests.
        share: how many of them, from 0 to 1. A platform that is well may lose some in the first
            moments, before its breakers open, and on a machine that has much else to do.
    """

    kinds: Sequence[str]
    share: float

    def findings(self, answers: Sequence[Answer]) -> list[Finding]:
        """What is wrong with answers to requests that were sent while the fault lasted."""
        own = [answer for answer in answers if answer.request.kind in self.kinds]
        soon = sum(map(_is_soon, own))
        if soon >= self.share * len(own):
            return []
        what = " and ".join(self.kinds)
        words = (
            f"of {len(own)} requests ({what}) {soon} were answered with success within"
            f" {SOON_SECONDS:g} s, where {self.share:.0%} belong"
        )
        return [Finding(SLOW, what, words)]


def _is_soon(answer: Answer) -> bool:
    fine = answer.verdict in (Verdict.ACCEPTED, Verdict.DONE)
    return fine and answer.seconds <= SOON_SECONDS
