"""What a drill has found wrong."""

from typing import NamedTuple

# the last of the drill itself, which then says nothing about the platform
LOST, REPEATED, WRONG, SLOW, BROKEN = "lost", "repeated", "wrong", "slow", "broken drill"


class Finding(NamedTuple):
    """One thing that is not as it has to be: what of, and in words what."""

    verdict: str
    of: str
    words: str
