"""Retention: what has served its time is deleted in small pieces, until none of it is left.

The relay process of a service does it, beside the relay and on a connection of its own. It rests as
long as it works, and waits for no lock, so that it holds nobody up.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import Counter, Gauge
from sqlalchemy import Connection, text

from chassis.database import Database, is_outage
from chassis.errors import first_line
from chassis.settings import DatabaseSettings

TABLE_BYTES = Gauge("table_bytes", "Size of a table with its indexes", ["table"])
TABLE_ROWS = Gauge("table_rows", "Rows of a table, as PostgreSQL estimates them", ["table"])
PURGED = Counter("rows_purged_total", "Rows deleted because they have served their time", ["table"])
PIECE = 1000
"""How many rows one statement deletes: few enough to hold nobody up."""
_ROUND_SECONDS = 60.0
Task = Callable[[Connection], object]
_BEFORE_ALL = "-infinity"
_SESSION = (
    # what a crash brings back is deleted again
    "SET LOCAL synchronous_commit = off",
    # by its index, always: the planner believes of a table that fills and empties what it was
    *(f"SET LOCAL enable_{way} = off" for way in ("seqscan", "bitmapscan", "sort")),
)
_SIZES = text(
    "SELECT relname, pg_total_relation_size(relid), n_live_tup FROM pg_stat_user_tables "
    "WHERE schemaname = current_schema()"
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Expiry:
    """Which rows of a table have served their time; its parts are SQL of ours.

    Attributes:
        table: the table's name.
        column: the time by which a row ages. An index begins with it.
        kept: for how long.
        condition: what else is true of those rows, as that index says it if it is a partial one.
        newest: how many of them are kept at most, however young they are; all if None.
    """

    table: str
    column: str
    kept: timedelta
    condition: str = "true"
    newest: int | None = None


def purge_all(connection: Connection, expiry: Expiry) -> int:
    """Delete what has served its time, without a rest; return how many rows."""
    return _purge(connection, expiry, lambda seconds: True)


def _purge(connection: Connection, expiry: Expiry, rest: Callable[[float], bool]) -> int:
    """Delete piece by piece, each in a transaction of its own.

    Args:
        connection: outside of a transaction.
        expiry: what to delete.
        rest: called after a piece with the seconds that it took; False ends it.

    Returns:
        How many rows were deleted.
    """
    end = _end(connection, expiry)
    start: datetime | str = _BEFORE_ALL
    deleted = 0
    while True:
        began = time.monotonic()
        count, last = _piece(connection, expiry, start, end)
        deleted += count
        PURGED.labels(expiry.table).inc(count)
        if count < PIECE or not rest(time.monotonic() - began):
            return deleted
        # behind what is deleted: its entries stay in the index until a vacuum
        start = last


def _end(connection: Connection, expiry: Expiry) -> datetime:
    """Return the time before which rows are to go."""
    oldest = "SELECT now() - :kept"
    if expiry.newest is not None:
        surplus = (
            f"SELECT {expiry.column} FROM {expiry.table} WHERE {expiry.condition} "
            f"ORDER BY {expiry.column} DESC OFFSET :newest LIMIT 1"
        )
        oldest = f"SELECT greatest(now() - :kept, ({surplus}))"
    parameters = {"kept": expiry.kept, "newest": expiry.newest}
    end: datetime = connection.execute(text(oldest), parameters).scalar_one()
    connection.rollback()
    return end


def _piece(
    connection: Connection, expiry: Expiry, start: datetime | str, end: datetime
) -> tuple[int, datetime]:
    for setting in _SESSION:
        connection.execute(text(setting))
    parameters = {"start": start, "end": end, "piece": PIECE}
    count, last = connection.execute(text(_statement(expiry)), parameters).one()
    connection.commit()
    return count, last


def _statement(expiry: Expiry) -> str:
    table, column = expiry.table, expiry.column
    return (
        f"WITH gone AS (DELETE FROM {table} WHERE ctid = ANY(ARRAY("
        f"SELECT ctid FROM {table} WHERE {column} >= CAST(:start AS timestamptz) "
        f"AND {column} < :end AND {expiry.condition} ORDER BY {column} LIMIT :piece "
        f"FOR UPDATE OF {table} SKIP LOCKED)) RETURNING {column} AS at) "
        "SELECT count(*), max(at) FROM gone"
    )


def measure(connection: Connection) -> None:
    """Set the gauges of the tables' sizes."""
    for table, octets, rows in connection.execute(_SIZES):
        TABLE_BYTES.labels(table).set(octets)
        TABLE_ROWS.labels(table).set(rows)
    connection.rollback()


class Retention:
    """Purges the tables of one database once a minute, until it is told to stop."""

    def __init__(
        self,
        settings: DatabaseSettings,
        expiries: Sequence[Expiry],
        stop: threading.Event,
        tasks: Sequence[Task] = (),
    ) -> None:
        """Prepare it.

        Args:
            settings: the database.
            expiries: what to delete of it.
            stop: set when it shall end.
            tasks: what else to do in each round, in transactions of its own.
        """
        self._tasks = tasks
        self._database = Database(settings, connections=1)
        self._expiries = expiries
        self._stop = stop

    def run(self) -> None:
        """Purge and measure until the stop event is set; wait out an unavailable database."""
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
        with self._database.unit_of_work() as connection:
            measure(connection)
            for task in self._tasks:
                task(connection)
            for expiry in self._expiries:
                deleted = _purge(connection, expiry, self._rest)
                if deleted:
                    logger.info("rows purged", extra={"table": expiry.table, "rows": deleted})
            measure(connection)

    def _rest(self, seconds: float) -> bool:
        """Rest as long as the piece took; False if this shall end."""
        return not self._stop.wait(seconds)
