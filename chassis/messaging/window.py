"""How many messages a broker may deliver ahead, so that the octets of their bodies have a limit.

RabbitMQ limits unacknowledged messages by number only: it has no prefetch by size (quorum queues
know no `prefetch_size`, see https://www.rabbitmq.com/docs/consumer-prefetch). So the number goes
down when messages turn out to be large, and up again when they are small.
"""

from collections import deque

PREFETCH = 200
MOST_OCTETS = 64_000_000
"""Of all messages in hand; one message that is larger than that may be in hand alone."""


class Window:
    """The number, and what the last messages were like."""

    def __init__(self) -> None:
        self.count = PREFETCH
        self._sizes: deque[int] = deque(maxlen=PREFETCH)

    def note(self, size: int) -> None:
        """Note the size of a message that has come."""
        self._sizes.append(size)

    def narrow(self) -> None:
        """Have no more than would fit if all were as large as the largest of the last ones."""
        fit = MOST_OCTETS // 2 // max(1, *self._sizes)
        self.count = max(1, min(self.count, fit))

    def widen(self) -> bool:
        """Have the full number again, if the last messages were small; tell whether it changed."""
        if self.count == PREFETCH or len(self._sizes) < PREFETCH:
            return False
        if sum(self._sizes) > MOST_OCTETS // 2:
            return False
        self.count = PREFETCH
        return True
