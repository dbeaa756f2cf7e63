"""Batches: good messages in one transaction, failing ones one by one, poison refused."""

import logging
import threading
from collections.abc import Hashable, Sequence
from typing import Generic

from prometheus_client import Counter, Histogram

from chassis.backoff import Backoff
from chassis.errors import first_line
from chassis.messaging.amqp_tables import UNREADABLE
from chassis.messaging.crash_suspects import Suspects
from chassis.messaging.delivery import Delivery, Handler, ItemT, RejectedError
from chassis.messaging.lock_waits import LockWaits
from chassis.storage.database import is_doubtful, is_lock_timeout, is_statement_timeout

CONSUMED = Counter(
    "messages_consumed_total", "Messages taken from a queue, by outcome", ["queue", "outcome"]
)
CONSUMED_BATCH = Histogram(
    "consumed_batch_size",
    "Messages handled in one transaction",
    ["queue"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
DEATHS = 20  # of processes that held one message alone, before it becomes a dead letter
TIMEOUTS = 5  # of one message alone, before it is at fault; unless all others fail as well
_LONGEST_PAUSE = 2.0  # seconds between attempts while the database is unavailable
LOCK_SECONDS = 0.5
"""How long a batch may wait for a lock."""
_SHORT_LOCK_SECONDS = 0.05  # for one message of a failed batch
_MOST_LOCKED = 40  # lock time-outs, one after the other, in a batch
Refused = tuple[Delivery, str]  # with the reason
logger = logging.getLogger(__name__)


class BatchProcessor(Generic[ItemT]):
    """Hands the messages of a queue to their handler, and separates poison messages."""

    def __init__(
        self,
        queue: str,
        handler: Handler[ItemT],
        stop: threading.Event,
        suspects: Suspects,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._stop = stop
        self._suspects = suspects
        self._alone: Delivery | None = None
        self._doubted: list[tuple[Delivery, ItemT]] = []
        self._locked: list[tuple[Delivery, ItemT]] = []
        self._postponed: list[tuple[Delivery, ItemT]] = []
        self._lock_timeouts = 0
        self.lock_waits = LockWaits()
        """Messages that need a locked row; they are neither applied nor refused."""
        self.undecided: list[Delivery] = []
        """Neither applied nor refused by the last call: they failed, and no other succeeded."""
        self.applied = 0
        """How many messages the last call has applied."""
        # created at the start: Prometheus sees no increase of a counter that begins with 1
        self._consumed, self._refused = (
            CONSUMED.labels(queue, outcome) for outcome in ("applied", "refused")
        )
        self._batch_size = CONSUMED_BATCH.labels(queue)

    def can_begin(self) -> bool:
        """Return whether the handler can work; if not, only after a pause."""
        try:
            self._handler.check()
        except Exception as error:
            if not self._handler.is_outage(error):
                raise
            logger.warning("waiting for the database", extra={"reason": first_line(error)})
            self._stop.wait(_LONGEST_PAUSE)
            return False
        return True

    def process(
        self, deliveries: Sequence[Delivery], succeeds: bool = False
    ) -> list[Refused] | None:
        """Apply good messages and return the refused ones; None if stopped before the end.

        A failure may be due to the message or to the database. Such a message stays `undecided`
        until another one succeeds, and is refused if one has just succeeded (`succeeds`). A message
        that needs a locked row joins the `lock_waits`, as do those behind it in its aggregate.
        """
        self._begin()
        sorted_, refused = self._sort(deliveries)
        self._locked = [pair for pair in sorted_ if self._waits_behind(pair)]
        good = [pair for pair in sorted_ if not self._waits_behind(pair)]
        failed = self._apply(good)
        if failed is None:
            return None
        if succeeds or self._succeeded(sorted_, failed):
            # the database works for others
            failed += self._fail_again()
        self.applied = self._succeeded(sorted_, failed)
        self.undecided = [delivery for delivery, _item in self._doubted]
        self._wait_for_locks()
        refused += failed
        self._batch_size.observe(len(deliveries))
        self._consumed.inc(self.applied)
        self._refused.inc(len(refused))
        return refused

    def _wait_for_locks(self) -> None:
        # messages that were not tried come first the next time
        wait = (*self._postponed, *self._locked)
        for delivery, item in wait:
            self.lock_waits.add(self._handler.aggregate(item), delivery)
        if self._lock_timeouts:
            extra = {"queue": self._queue, "messages": len(wait)}
            logger.warning("waiting for rows that are locked; others go on", extra=extra)

    def _begin(self) -> None:
        self._doubted, self._locked, self._postponed = [], [], []
        self._lock_timeouts = self.applied = 0
        self.undecided = []

    def _succeeded(self, tried: Sequence[object], failed: Sequence[object]) -> int:
        open_ = (self._doubted, self._locked, self._postponed)
        return len(tried) - len(failed) - sum(map(len, open_))

    def _waits_behind(self, pair: tuple[Delivery, ItemT]) -> bool:
        return bool(self.lock_waits) and self.lock_waits.holds(self._handler.aggregate(pair[1]))

    def process_alone(self, delivery: Delivery, succeeds: bool = False) -> list[Refused] | None:
        """Do the same as `process` with one message that may crash this process.

        It is refused once processes have died `DEATHS` times while they held this message alone.
        """
        deaths = self._suspects.deaths(delivery)
        if deaths >= DEATHS:
            self._begin()
            self._refused.inc()
            return [(delivery, f"the consumer died {deaths} times with this message alone in hand")]
        self._suspects.mark(delivery)
        self._alone = delivery
        refused = self.process([delivery], succeeds)
        self._alone = None
        if refused is None or self._locked:
            self._suspects.unmark(delivery)
        else:
            self._suspects.forget(delivery)
        return refused

    def _sort(
        self, deliveries: Sequence[Delivery]
    ) -> tuple[list[tuple[Delivery, ItemT]], list[Refused]]:
        good: list[tuple[Delivery, ItemT]] = []
        refused: list[Refused] = []
        for delivery in deliveries:
            try:
                _check_readable(delivery)
                good.append((delivery, self._handler.parse(delivery)))
            except RejectedError as error:
                refused.append((delivery, str(error)))
            except Exception as error:
                logger.exception("message can't be read")
                refused.append((delivery, _named(error)))
        return good, refused

    def _apply(self, good: Sequence[tuple[Delivery, ItemT]]) -> list[Refused] | None:
        """Apply a batch; if it fails, one by one. Return what failed alone, None if stopped."""
        # a row that is locked now is unlikely to be free in a moment
        lock_seconds = _SHORT_LOCK_SECONDS if self.lock_waits else LOCK_SECONDS
        try:
            done = not good or self._apply_waiting([item for _, item in good], lock_seconds)
            return [] if done else None
        except Exception as error:
            if len(good) == 1:
                return self._failed_alone(good[0], error)
        return self._apply_one_by_one(good)

    def _apply_one_by_one(self, good: Sequence[tuple[Delivery, ItemT]]) -> list[Refused] | None:
        failed: list[Refused] = []
        for pair in good:
            aggregate = self._handler.aggregate(pair[1])
            if aggregate is not None and aggregate in self._locked_aggregates():
                self._locked.append(pair)
                continue
            if self._lock_timeouts >= _MOST_LOCKED:
                self._postponed.append(pair)
                continue
            alone = self._apply_alone(pair)
            if alone is None:
                return None
            failed += alone
        return failed

    def _apply_alone(self, pair: tuple[Delivery, ItemT]) -> list[Refused] | None:
        try:
            return [] if self._apply_waiting([pair[1]], _SHORT_LOCK_SECONDS) else None
        except Exception as error:
            return self._failed_alone(pair, error)

    def _locked_aggregates(self) -> set[Hashable]:
        return {self._handler.aggregate(item) for _delivery, item in self._locked}

    def _failed_alone(self, pair: tuple[Delivery, ItemT], error: Exception) -> list[Refused]:
        if is_lock_timeout(error):
            self._lock_timeouts += 1
            self._locked.append(pair)
            return []
        if _may_be_its_own(error):
            logger.warning("waiting for the database", extra={"reason": first_line(error)})
            self._doubted.append(pair)
            return []
        return [_refused(pair[0], error)]

    def _fail_again(self) -> list[Refused]:
        """Retry doubtful messages: the database may have failed until now."""
        doubted, self._doubted = self._doubted, []
        failed: list[Refused] = []
        for delivery, item in doubted:
            try:
                self._handler.apply([item], _SHORT_LOCK_SECONDS)
            except Exception as error:
                if _may_be_its_own(error) or not self._handler.is_outage(error):
                    failed.append(_refused(delivery, error))
                else:
                    self._doubted.append((delivery, item))
        return failed

    def _apply_waiting(self, items: Sequence[ItemT], lock_seconds: float) -> bool:
        """Apply `items`, waiting for the database as long as necessary; False if told to stop.

        Raises:
            Exception: what is wrong with the items. Also a statement time-out, of several items at
                once or of one item `TIMEOUTS` times, and a lock time-out.
        """
        backoff = Backoff(longest=_LONGEST_PAUSE)
        timeouts = 0
        while True:
            try:
                self._handler.apply(items, lock_seconds)
                return True
            except Exception as error:
                timeouts += is_statement_timeout(error)
                is_own_fault = timeouts == TIMEOUTS or (timeouts and len(items) > 1)
                is_known = is_lock_timeout(error) or is_doubtful(error)
                if is_own_fault or is_known or not self._handler.is_outage(error):
                    raise
                logger.warning("waiting for the database", extra={"reason": first_line(error)})
            if self._stopped_within(backoff.next()):
                return False

    def _stopped_within(self, seconds: float) -> bool:
        """Wait while the database is unavailable, which is no message's fault."""
        if self._alone is None:
            return self._stop.wait(seconds)
        self._suspects.unmark(self._alone)
        stopped = self._stop.wait(seconds)
        self._suspects.mark(self._alone)
        return stopped


def _check_readable(delivery: Delivery) -> None:
    if UNREADABLE in delivery.headers:
        raise RejectedError("The properties of the message can't be read.")


def _refused(delivery: Delivery, error: Exception) -> Refused:
    logger.error("message can't be processed", exc_info=error)
    return delivery, _named(error)


def _may_be_its_own(error: Exception) -> bool:
    """Return whether message or database may be at fault: other messages decide which."""
    return is_doubtful(error) or is_statement_timeout(error)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
