"""How long to rest after a scan of a table, so that slow scans take only a share of the time."""

_SLOW_SECONDS = 0.1


class ScanPause:
    """Returns the rest after each scan.

    A single slow scan may have waited for a lock, so only a second one in a row asks for a rest.
    """

    def __init__(self, share: float, longest: float) -> None:
        """Begin without a slow scan.

        Args:
            share: of the time that slow scans may take.
            longest: how many seconds to rest at most.
        """
        self._share = share
        self._longest = longest
        self._was_slow = False

    def rest(self, took: float) -> float:
        """Return how many seconds to rest after a scan that took `took` seconds."""
        is_slow = took > _SLOW_SECONDS
        twice, self._was_slow = is_slow and self._was_slow, is_slow
        return min(took / self._share, self._longest) if twice else 0.0
