"""What a drill can find wrong."""

from typing import NamedTuple

# the last is a failure of the drill itself, which says nothing about the platform
LOST, REPEATED, WRONG, SLOW, BROKEN = "lost", "repeated", "wrong", "slow", "broken drill"


class Finding(NamedTuple):
    """One thing that is wrong: the kind, the thing, and a description."""

    verdict: str
    of: str
    words: str
