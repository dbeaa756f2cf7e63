"""How long to rest after a look at a table, so that slow looks take only a share of the time."""

_SLOW_SECONDS = 0.1


class SlowLooks:
    """Tells how long to rest; never long.

    One slow look may have waited for somebody's lock, and asks for no rest: the next one tells.
    """

    def __init__(self, share: float, longest: float) -> None:
        """Prepare for looks.

        Args:
            share: of the time that slow looks may take.
            longest: how many seconds to rest at most.
        """
        self._share = share
        self._longest = longest
        self._was_slow = False

    def rest(self, took: float) -> float:
        """Return how many seconds to rest after a look that took so many."""
        is_slow = took > _SLOW_SECONDS
        twice, self._was_slow = is_slow and self._was_slow, is_slow
        return min(took / self._share, self._longest) if twice else 0.0
