"""The prefetch of a consumer, adapted so that the octets of unacknowledged bodies have a limit.

RabbitMQ limits unacknowledged messages by number only: quorum queues have no `prefetch_size`, see
https://www.rabbitmq.com/docs/consumer-prefetch. So the number shrinks when messages turn out to be
large, and grows again when they are small.
"""

from collections import deque

BATCH = 200
"""The most messages of a batch."""
PREFETCH = 2 * BATCH
"""The next batch arrives while the database works on one."""
MOST_OCTETS = 64_000_000
"""Of all messages in hand; a single larger message may be in hand alone."""


class Window:
    """The prefetch, and the sizes of the last messages."""

    def __init__(self) -> None:
        self.count = PREFETCH
        self._sizes: deque[int] = deque(maxlen=PREFETCH)

    def note(self, size: int) -> None:
        """Record the size of a message that has arrived."""
        self._sizes.append(size)

    def narrow(self) -> None:
        """Reduce it to what fits if all messages are as large as the largest of the last ones."""
        fit = MOST_OCTETS // 2 // max(1, *self._sizes)
        self.count = max(1, min(self.count, fit))

    def widen(self) -> bool:
        """Restore the full prefetch if the last messages were small; return whether it changed."""
        if self.count == PREFETCH or len(self._sizes) < PREFETCH:
            return False
        if sum(self._sizes) > MOST_OCTETS // 2:
            return False
        self.count = PREFETCH
        return True
