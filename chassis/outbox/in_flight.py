"""Messages on their way to the broker, those of one aggregate one after the other.

A chain is the messages of one aggregate: each is published when the one before it is confirmed, and
none after one that is not. Chains run side by side. Their links are made on the publisher's thread,
as the confirms come.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chassis.errors import BrokerUnavailableError, ConnectionLostError
from chassis.messaging.publisher import Publisher
from chassis.outbox.table import Waiting


class Outcome(NamedTuple):
    """What became of a message: confirmed, unless there is a `failure`.

    `lost` is a message that was under way when the connection was lost.
    """

    row: Waiting
    failure: str | None
    lost: bool = False


class Busy(NamedTuple):
    """What must not be taken again yet: aggregates, and rows without one."""

    ids: set[int]
    aggregates: set[str]

    def has(self, row: Waiting) -> bool:
        """Tell whether a row is among it."""
        return row.id in self.ids or row.aggregate in self.aggregates


@dataclass(eq=False)
class _Chain:
    rows: deque[Waiting]
    since: float = field(default_factory=time.monotonic)


class Chains:
    """The chains of one relay."""

    def __init__(self, publisher: Publisher, confirm_seconds: float) -> None:
        """Prepare chains.

        Args:
            publisher: started.
            confirm_seconds: how long a message may go unanswered; then it counts as failed, though
                the broker may have it all the same.
        """
        self._publisher = publisher
        self._confirm_seconds = confirm_seconds
        self._changed = threading.Condition()
        self._active: set[_Chain] = set()
        self._outcomes: list[Outcome] = []
        self._left = 0

    def __bool__(self) -> bool:
        return bool(self._active)

    def rows(self) -> list[Waiting]:
        """Return all that is not answered."""
        with self._changed:
            return [row for chain in self._active for row in chain.rows]

    def start(self, rows: Iterable[Waiting]) -> None:
        """Publish rows, which are in order, and of which none is `busy`."""
        chains = [_Chain(deque(linked)) for linked in _linked(rows)]
        with self._changed:
            self._active.update(chains)
        for chain in chains:
            self._publish(chain, chain.rows[0])

    def wait(self, seconds: float, left: int = 0) -> None:
        """Wait until all chains are at their ends, or all but `left`, `seconds` at most."""
        with self._changed:
            self._left = left
            self._changed.wait_for(lambda: len(self._active) <= left, seconds)

    def outcomes(self) -> list[Outcome]:
        """Take what has become of messages since the last time."""
        with self._changed:
            self._give_up_overdue()
            taken, self._outcomes = self._outcomes, []
        return taken

    def busy(self) -> Busy:
        """Return what is on its way, or was and has not been taken from `outcomes`."""
        with self._changed:
            rows = [chain.rows[0] for chain in self._active]
            rows += [outcome.row for outcome in self._outcomes]
        ids = {row.id for row in rows if row.aggregate is None}
        return Busy(ids, {row.aggregate for row in rows if row.aggregate is not None})

    def cut(self) -> None:
        """Let each chain end with the message that is on its way."""
        with self._changed:
            for chain in self._active:
                chain.rows = deque([chain.rows[0]])

    def _publish(self, chain: _Chain, row: Waiting) -> None:
        try:
            future = self._publisher.submit(row.message)
        except BrokerUnavailableError as error:
            self._answered(chain, error)
        else:
            future.add_done_callback(lambda done: self._answered(chain, done.exception()))

    def _answered(self, chain: _Chain, error: BaseException | None) -> None:
        failure, lost = (
            None if error is None else str(error),
            isinstance(error, ConnectionLostError),
        )
        with self._changed:
            is_active = chain in self._active
            following = self._settle(chain, failure, lost) if is_active else None
        if following is not None:
            self._publish(chain, following)

    def _settle(self, chain: _Chain, failure: str | None, lost: bool = False) -> Waiting | None:
        """Note an answer, and return what comes next in the chain."""
        self._outcomes.append(Outcome(chain.rows.popleft(), failure, lost))
        if failure is None and chain.rows:
            chain.since = time.monotonic()
            return chain.rows[0]
        self._active.discard(chain)
        if len(self._active) <= self._left:
            self._changed.notify_all()
        return None

    def _give_up_overdue(self) -> None:
        """Count as failed what is unanswered for long; an answer that comes still is too late."""
        began = time.monotonic() - self._confirm_seconds
        failure = f"RabbitMQ has not confirmed within {self._confirm_seconds:g} s"
        for chain in [chain for chain in self._active if chain.since < began]:
            self._settle(chain, failure)


def _linked(rows: Iterable[Waiting]) -> Sequence[list[Waiting]]:
    """Return the rows of each aggregate; a row without one stands alone."""
    linked: dict[str | int, list[Waiting]] = {}
    for row in rows:
        linked.setdefault(row.id if row.aggregate is None else row.aggregate, []).append(row)
    return list(linked.values())
