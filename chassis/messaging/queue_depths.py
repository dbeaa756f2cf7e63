"""Counts the messages of queues that this process does not consume, such as dead letters.

queue_guard.py decides whether a consumed queue is dead.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pika.channel import Channel

Note = Callable[[Mapping[str, int]], None]


class QueueDepths:
    """Asks for one queue after the other, on its own channel.

    All methods but `watch` run on the connection's thread.
    """

    def __init__(self, names: Sequence[str], note: Note) -> None:
        """Prepare to count `names`; `note` receives the counts of those that exist."""
        self._names = list(names)
        self._note = note
        self._channel: Channel | None = None
        self._left: list[str] = []
        self._found: dict[str, int] = {}

    def watch(self, names: Sequence[str]) -> None:
        """Count these queues from the next `look` on; may be called on any thread."""
        self._names = list(names)

    def look(self, beside: Channel) -> None:
        """Count all queues, unless the last count is still in progress.

        Args:
            beside: an open channel of the connection; it is not used itself.
        """
        if not self._left:
            self._left, self._found = list(self._names), {}
            self._ask(beside)

    def lost(self) -> None:
        """The connection is lost."""
        self._channel = None
        self._left = []

    def _ask(self, beside: Channel) -> None:
        if not self._left:
            self._note(self._found)
        elif self._channel is None or not self._channel.is_open:
            beside.connection.channel(on_open_callback=lambda own: self._opened(own, beside))
        else:
            self._declare(self._channel, beside)

    def _opened(self, own: Channel, beside: Channel) -> None:
        self._channel = own
        own.add_on_close_callback(lambda closed, _reason: self._closed(closed, beside))
        self._declare(own, beside)

    def _declare(self, own: Channel, beside: Channel) -> None:
        name = self._left[0]

        def declared(frame: Any) -> None:
            self._found[name] = frame.method.message_count
            self._next(beside)

        own.queue_declare(name, passive=True, callback=declared)

    def _closed(self, closed: Channel, beside: Channel) -> None:
        """Skip a queue that does not exist, which closes the channel."""
        if closed is self._channel and closed.connection.is_open:
            self._channel = None
            if self._left:
                self._next(beside)

    def _next(self, beside: Channel) -> None:
        self._left.pop(0)
        self._ask(beside)
