"""What one fault acts on, how long it lasts, and its source of random choices."""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from tools.drills.targets.platform import Platform

POLL_SECONDS = 0.1
Act = Callable[[], None]
Clients = Callable[[], AbstractContextManager[None]]


class FaultContext:
    """What a fault gets to work with.

    A fault begins, lasts, and undoes itself, also when it is interrupted.
    """

    def __init__(
        self,
        platform: Platform,
        rng: random.Random,
        run: str,
        seconds: float,
        note: Callable[[str], None],
        tell: Act,
        crowd: Clients = nullcontext,
    ) -> None:
        """Start the fault's time.

        Args:
            platform: what the fault acts on.
            rng: makes the random choices.
            run: the id of this run.
            seconds: how long the fault lasts.
            note: receives each action, in words.
            tell: is called repeatedly while the fault waits, to show progress.
            crowd: a block during which a crowd of clients works beside the traffic.
        """
        self._crowd = crowd
        self.platform = platform
        self.rng = rng
        self.run = run
        self.note = note
        self._tell = tell
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def sustain(self, begin: Act, words: str, undo: Act, share: float = 1.0) -> None:
        """Begin something, let it last for a share of the fault's time, and undo it in any case."""
        self._sustain(begin, words, undo, share, nullcontext)

    def sustain_with_crowd(self, begin: Act, words: str, undo: Act, share: float = 1.0) -> None:
        """Like `sustain`, with the crowd at work meanwhile."""
        self._sustain(begin, words, undo, share, self._crowd)

    def _sustain(self, begin: Act, words: str, undo: Act, share: float, clients: Clients) -> None:
        try:
            begin()
            self.note(words)
            with clients():
                self.hold(share)
        finally:
            undo()

    def repeat(self, act: Act, words: str, shortest: float, longest: float) -> None:
        """Repeat an action at random intervals (in seconds) until the fault's time is over."""
        while True:
            act()
            self.note(words)
            if not self.pause(shortest, longest):
                return

    def hold(self, share: float = 1.0) -> None:
        """Wait for a share of the fault's time, but not beyond its end."""
        self._wait_until(min(time.monotonic() + share * self.seconds, self._end))

    def pause(self, shortest: float, longest: float) -> bool:
        """Wait for a random time in seconds; returns False at once if the fault would end before.

        The last action of a fault is its end, where the recovery starts: nothing waits after it.
        """
        until = time.monotonic() + self.rng.uniform(shortest, longest)
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
        return self.rng.sample(list(names), len(names))
