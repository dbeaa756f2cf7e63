"""How long to pause after a small batch, so that the next one is larger.

Most of what a batch costs is the same for any size: its transaction, its statements, the round
trips. While messages arrive quickly, batches of a few would keep the processors busy. A message
that comes alone is followed by no pause, nor is a large batch, behind which many more may wait.
"""

_FEW = 50
_TIMES_AS_LONG = 4
_LONGEST_SECONDS = 0.1


def pause_after(messages: int, took: float) -> float:
    """Return how many seconds to pause after a batch.

    Args:
        messages: how many it had.
        took: how many seconds its work has taken; a busy machine takes longer.
    """
    is_small = 1 < messages < _FEW
    return min(_TIMES_AS_LONG * took, _LONGEST_SECONDS) if is_small else 0.0
