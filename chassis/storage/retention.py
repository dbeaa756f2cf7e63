"""Retention: expired rows are deleted in small batches until none is left.

The relay process of a service does it, beside the relay and on its own connection. It rests as long
as it works and waits for no lock, so it slows nobody down. A failing task delays no other: each has
its turn in every round.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from prometheus_client import Counter, Gauge
from sqlalchemy import Connection, text

from chassis.errors import first_line
from chassis.settings import DatabaseSettings
from chassis.storage.database import Database, is_outage

TABLE_BYTES = Gauge("table_bytes", "Size of a table with its indexes", ["table"])
TABLE_ROWS = Gauge("table_rows", "Rows of a table, as PostgreSQL estimates them", ["table"])
PURGED = Counter("rows_purged_total", "Rows deleted because they have expired", ["table"])
BATCH_ROWS = 1000
"""How many rows one statement deletes: few enough to slow nobody down."""
FAILURES = Counter("retention_failures_total", "Tasks of retention that have failed", ["task"])
_ROUND_SECONDS = 60.0
_BEFORE_ALL = "-infinity"
_SESSION = (
    # rows that reappear after a crash are deleted again
    "SET LOCAL synchronous_commit = off",
    # always by index: the planner's statistics of a table that fills and empties are stale
    *(f"SET LOCAL enable_{way} = off" for way in ("seqscan", "bitmapscan", "sort")),
)
_SIZES = text(
    "SELECT relname, pg_total_relation_size(relid), n_live_tup FROM pg_stat_user_tables "
    "WHERE schemaname = current_schema()"
)
logger = logging.getLogger(__name__)


class Task(Protocol):
    """Work for each round; logs and metrics show its name."""

    __qualname__: str

    def __call__(self, database: Database, /) -> object:
        """Do the work, in its own transactions."""


@dataclass(frozen=True)
class Expiry:
    """Which rows of a table expire; its parts are trusted SQL.

    Attributes:
        table: the table's name.
        column: the time from which a row ages. An index begins with it.
        max_age: the age at which a row expires.
        condition: a further condition; for a partial index, its literal predicate.
        newest: only so many of the newest of these rows stay, at any age; no limit if None.
    """

    table: str
    column: str
    max_age: timedelta
    condition: str = "true"
    newest: int | None = None


def purge_all(database: Database, expiry: Expiry) -> int:
    """Delete all expired rows without a rest; return how many."""
    return _purge(database, expiry, lambda seconds: True)


def _purge(database: Database, expiry: Expiry, rest: Callable[[float], bool]) -> int:
    """Delete batch by batch, each in its own transaction.

    Args:
        database: whose rows expire.
        expiry: what to delete.
        rest: called after a batch with the seconds that it took; False stops.

    Returns:
        How many rows were deleted.
    """
    with database.transaction() as connection:
        end = _end(connection, expiry)
    start: datetime | str = _BEFORE_ALL
    deleted = 0
    while True:
        began = time.monotonic()
        with database.transaction() as connection:
            count, last = _delete_batch(connection, expiry, start, end)
        deleted += count
        PURGED.labels(expiry.table).inc(count)
        if count < BATCH_ROWS or not rest(time.monotonic() - began):
            return deleted
        # behind the deleted rows: their index entries stay until a vacuum
        start = last


def _end(connection: Connection, expiry: Expiry) -> datetime:
    """Return the time before which rows have expired."""
    oldest = "SELECT now() - :max_age"
    if expiry.newest is not None:
        oldest = f"SELECT greatest(now() - :max_age, ({_surplus(expiry)}))"
    for setting in _SESSION:
        connection.execute(text(setting))
    parameters = {"max_age": expiry.max_age, "newest": expiry.newest}
    end: datetime = connection.execute(text(oldest), parameters).scalar_one()
    return end


def _surplus(expiry: Expiry) -> str:
    """Return the query for the time of the oldest row to keep, behind `newest` newer ones."""
    return (
        f"SELECT {expiry.column} FROM {expiry.table} WHERE {expiry.condition} "
        f"ORDER BY {expiry.column} DESC OFFSET :newest LIMIT 1"
    )


def _delete_batch(
    connection: Connection, expiry: Expiry, start: datetime | str, end: datetime
) -> tuple[int, datetime]:
    for setting in _SESSION:
        connection.execute(text(setting))
    parameters = {"start": start, "end": end, "rows": BATCH_ROWS}
    count, last = connection.execute(text(_statement(expiry)), parameters).one()
    return count, last


def _statement(expiry: Expiry) -> str:
    table, column = expiry.table, expiry.column
    return (
        f"WITH gone AS (DELETE FROM {table} WHERE ctid = ANY(ARRAY("
        f"SELECT ctid FROM {table} WHERE {column} >= CAST(:start AS timestamptz) "
        f"AND {column} < :end AND {expiry.condition} ORDER BY {column} LIMIT :rows "
        f"FOR UPDATE OF {table} SKIP LOCKED)) RETURNING {column} AS at) "
        "SELECT count(*), max(at) FROM gone"
    )


def measure(database: Database) -> None:
    """Set the gauges of the tables' sizes."""
    with database.autocommit() as connection:
        for table, octets, rows in connection.execute(_SIZES):
            TABLE_BYTES.labels(table).set(octets)
            TABLE_ROWS.labels(table).set(rows)


class Retention:
    """Purges the tables of one database once a minute, until it is told to stop."""

    def __init__(
        self,
        settings: DatabaseSettings,
        expiries: Sequence[Expiry],
        stop: threading.Event,
        tasks: Sequence[Task] = (),
    ) -> None:
        """Prepare to purge.

        Args:
            settings: the database.
            expiries: which rows to delete.
            stop: set to end it.
            tasks: further work of each round, in its own transactions.
        """
        self._database = Database(settings, connections=1)
        purges = [(expiry.table, partial(self._expire, expiry)) for expiry in expiries]
        others = [(task.__qualname__, task) for task in tasks]
        sizes = ("table sizes", measure)
        self._tasks: list[tuple[str, Callable[[Database], object]]]
        self._tasks = [sizes, *others, *purges, sizes]
        for name, _task in self._tasks:
            # created at the start: Prometheus sees no increase of a counter that begins with 1
            FAILURES.labels(name)
        self._stop = stop

    def run(self) -> None:
        """Purge and measure until the stop event is set; wait while the database is unavailable."""
        while not self._stop.is_set():
            try:
                self._round()
            except Exception as error:
                if not is_outage(error):
                    raise
                logger.warning("purge postponed", extra={"reason": first_line(error)})
            self._stop.wait(_ROUND_SECONDS)
        self._database.close()

    def _round(self) -> None:
        """Give each task its turn.

        Raises:
            DBAPIError: the database is unavailable for all tasks.
        """
        self._database.check()
        for name, task in self._tasks:
            if not self._stop.is_set():
                self._do(name, task)

    def _do(self, name: str, task: Task) -> None:
        try:
            task(self._database)
        except Exception as error:
            FAILURES.labels(name).inc()
            extra = {"task": name, "reason": first_line(error)}
            # an error that is no outage is a bug of ours, so log its traceback
            logger.warning("retention task failed", extra=extra, exc_info=not is_outage(error))

    def _expire(self, expiry: Expiry, database: Database) -> None:
        deleted = _purge(database, expiry, self._rest)
        if deleted:
            logger.info("rows purged", extra={"table": expiry.table, "rows": deleted})

    def _rest(self, seconds: float) -> bool:
        """Rest as long as the batch took; False if told to stop."""
        return not self._stop.wait(seconds)
