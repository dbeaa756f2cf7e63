"""Requests that have to be answered as usual while a fault lasts."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.drills.checks.findings import SLOW, Finding
from tools.drills.workload.history import Answer, Verdict

SOON_SECONDS = 3.0
"""The slowest answer that counts."""


@dataclass(frozen=True)
class Unaffected:
    """The share of requests that have to be answered soon, as if nothing were broken.

    Attributes:
        kinds: which requests.
        share: how many of them, from 0 to 1. A healthy platform may lose some in the first moments,
            before its breakers open, or on a busy machine.
    """

    kinds: Sequence[str]
    share: float

    def findings(self, answers: Sequence[Answer]) -> list[Finding]:
        """Check the answers to requests that were sent while the fault lasted."""
        own = [answer for answer in answers if answer.request.kind in self.kinds]
        soon = sum(map(_is_soon, own))
        if soon >= self.share * len(own):
            return []
        what = " and ".join(self.kinds)
        words = (
            f"of {len(own)} requests ({what}) {soon} were answered with success within"
            f" {SOON_SECONDS:g} s; required: {self.share:.0%}"
        )
        return [Finding(SLOW, what, words)]


def _is_soon(answer: Answer) -> bool:
    fine = answer.verdict in (Verdict.ACCEPTED, Verdict.DONE)
    return fine and answer.seconds <= SOON_SECONDS
