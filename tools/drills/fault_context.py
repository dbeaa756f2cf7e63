"""One fault under way: on what it acts, for how long, and by what chance."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from tools.drills.targets.platform import Platform

POLL_SECONDS = 0.1
Act = Callable[[], None]
Clients = Callable[[], AbstractContextManager[None]]


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
        crowd: Clients = nullcontext,
    ) -> None:
        """Begin.

        Args:
            platform: what the fault acts on.
            chance: decides what is random.
            run: the drill's own name.
            seconds: how long the fault lasts.
            note: is told what was done.
            tell: is called again and again while the fault waits.
            crowd: has a crowd of clients at work beside the traffic for a block.
        """
        self._crowd = crowd
        self.platform = platform
        self.chance = chance
        self.run = run
        self.note = note
        self._tell = tell
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def last(self, begin: Act, words: str, undo: Act, share: float = 1.0) -> None:
        """Have something begin, last for a share of the fault's time, and be undone in any case."""
        self._last(begin, words, undo, share, nullcontext)

    def crowded(self, begin: Act, words: str, undo: Act, share: float = 1.0) -> None:
        """Do as `last` does, with the crowd at work while it lasts."""
        self._last(begin, words, undo, share, self._crowd)

    def _last(self, begin: Act, words: str, undo: Act, share: float, clients: Clients) -> None:
        try:
            begin()
            self.note(words)
            with clients():
                self.hold(share)
        finally:
            undo()

    def repeat(self, act: Act, words: str, shortest: float, longest: float) -> None:
        """Do something, and again after a random time, in seconds, as often as there is time."""
        while True:
            act()
            self.note(words)
            if not self.pause(shortest, longest):
                return

    def hold(self, share: float = 1.0) -> None:
        """Wait for a share of the fault's time, and not beyond its end."""
        self._wait_until(min(time.monotonic() + share * self.seconds, self._end))

    def pause(self, shortest: float, longest: float) -> bool:
        """Wait for a random time, in seconds; False, at once, if the fault would end before.

        What a fault does last is its end, from which the recovery counts: nothing waits after it.
        """
        until = time.monotonic() + self.chance.uniform(shortest, longest)
        if until >= self._end:
            return False
        self._wait_until(until)
        return True

    def _wait_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            self._tell()
            time.sleep(min(left, POLL_SECONDS))

    def shuffled(self, names: Sequence[str]) -> list[str]:
        """All names, in a random order."""
        return self.chance.sample(list(names), len(names))
