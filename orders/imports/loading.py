"""Loads checked orders with their history, while the next ones are being checked.

Checking takes about as much time as PostgreSQL takes to store, so the two happen at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import chain, islice
from typing import NamedTuple

from sqlalchemy import Connection, text

from chassis.random_ids import ascending_ids
from chassis.storage.arrays import array
from orders.imports.files import ImportedOrder

BATCH = 5000
"""How many orders one statement loads; their arrays have some hundred kilobytes."""
# by uid: in the sequence of the file
_LOAD = text(
    """
    WITH loaded AS (
        INSERT INTO orders
            (uid, order_id, customer_id, total_amount, status, created_at, updated_at)
        SELECT uid, order_id, customer_id, total_amount, status, created_at, created_at
        FROM unnest(
            CAST(:uid AS uuid[]), CAST(:order_id AS text[]), CAST(:customer_id AS text[]),
            CAST(:total_amount AS numeric[]), CAST(:status AS text[]),
            CAST(:created_at AS timestamptz[])
        ) AS given (uid, order_id, customer_id, total_amount, status, created_at)
        ORDER BY uid
        ON CONFLICT (order_id) DO NOTHING
        RETURNING id, status
    )
    INSERT INTO order_history (order_pk, to_status, at, cause)
    SELECT id, status, :now, 'import' FROM loaded
    """
)
# Others, like autovacuum, do not see these orders before the commit. If they count none, PostgreSQL
# looks for the order of each row of the history through all of an index on another column. ANALYZE
# counts its own transaction's orders, and others can't do it until the commit.
_COUNT = text("ANALYZE orders (id)")


class Loaded(NamedTuple):
    """How many orders were loaded, and how many were skipped because they exist."""

    loaded: int
    skipped: int


def load(
    connection: Connection,
    imported: Iterable[ImportedOrder],
    progress: Callable[[int], object] = lambda count: None,
) -> Loaded:
    """Insert the orders that do not exist yet, in the caller's transaction.

    An error of `imported` is raised once the batch before it is stored.

    Args:
        connection: in a transaction, which the caller commits; another thread uses it meanwhile.
        imported: with different `order_id`s.
        progress: called after each batch with its number of orders.
    """
    now = datetime.now(timezone.utc)
    done = Loaded(0, 0)
    with ThreadPoolExecutor(1, "loading") as thread:
        # one batch at most is ahead of the database
        stored: Future[Loaded] | None = None
        for batch in _batches(imported):
            load_batch = _load_batch if stored else _load_first_batch
            done = _sum(done, stored, progress)
            stored = thread.submit(load_batch, connection, now, batch)
        return _sum(done, stored, progress)


def checked_ahead(imported: Iterable[ImportedOrder]) -> Iterable[ImportedOrder]:
    """Return the same orders; those of the first batch are checked now."""
    orders = iter(imported)
    return chain(list(islice(orders, BATCH)), orders)


def _batches(imported: Iterable[ImportedOrder]) -> Iterator[Sequence[ImportedOrder]]:
    orders = iter(imported)
    while batch := list(islice(orders, BATCH)):
        yield batch


def _sum(done: Loaded, stored: Future[Loaded] | None, progress: Callable[[int], object]) -> Loaded:
    if stored is None:
        return done
    more = stored.result()
    progress(sum(more))
    return Loaded(done.loaded + more.loaded, done.skipped + more.skipped)


def _load_batch(connection: Connection, now: datetime, batch: Sequence[ImportedOrder]) -> Loaded:
    given = {
        "uid": array(ascending_ids(len(batch))),
        "order_id": array(order.order_id for order in batch),
        "customer_id": array(order.customer_id for order in batch),
        "total_amount": array(str(order.total_amount) for order in batch),
        "status": array(order.status for order in batch),
        "created_at": array((order.created_at or now).isoformat() for order in batch),
    }
    loaded = connection.execute(_LOAD, {**given, "now": now}).rowcount
    return Loaded(loaded, len(batch) - loaded)


def _load_first_batch(
    connection: Connection, now: datetime, batch: Sequence[ImportedOrder]
) -> Loaded:
    loaded = _load_batch(connection, now, batch)
    connection.execute(_COUNT)
    return loaded
