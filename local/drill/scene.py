"""One fault under way: on what it acts, for how long, and by what chance."""

import random
import time
from collections.abc import Callable, Sequence

from local.drill.platform import Platform

POLL_SECONDS = 0.1
Act = Callable[[], None]


class Scene:
    """What a fault has to do with.

    A fault begins, holds until it is over, and undoes itself, also when it is interrupted.
    """

    def __init__(
        self,
        platform: Platform,
        chance: random.Random,
        run: str,
        seconds: float,
        note: Callable[[str], None],
        tell: Act,
    ) -> None:
        self.platform = platform
        self.chance = chance
        self.run = run
        self.note = note
        self._tell = tell
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def last(self, begin: Act, words: str, undo: Act, share: float = 1.0) -> None:
        """Have something begin, last for a share of the fault's time, and be undone in any case."""
        try:
            begin()
            self.note(words)
            self.hold(share)
        finally:
            undo()

    def hold(self, share: float = 1.0) -> None:
        """Wait for a share of the fault's time, and not beyond its end."""
        until = min(time.monotonic() + share * self._seconds, self._end)
        while (left := until - time.monotonic()) > 0:
            self._tell()
            time.sleep(min(left, POLL_SECONDS))

    def goes_on(self) -> bool:
        """Whether the fault's time is not over."""
        return time.monotonic() < self._end

    def pause(self, shortest: float, longest: float) -> None:
        """Wait for a random time, in seconds, and not beyond the fault's end."""
        self.hold(self.chance.uniform(shortest, longest) / self._seconds)

    def shuffled(self, names: Sequence[str]) -> list[str]:
        """All names, in a random order."""
        return self.chance.sample(list(names), len(names))
