"""What a drill has found wrong."""

from typing import NamedTuple

LOST, REPEATED, WRONG = "lost", "repeated", "wrong"


class Finding(NamedTuple):
    """One thing that is not as it has to be: what of, and in words what."""

    verdict: str
    of: str
    words: str
