"""The messages that wait in the outbox, as the relay reads and marks them."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT

from chassis.messaging.message import Message
from chassis.outbox.table import outbox
from chassis.storage.prepared import PreparedQuery

# Conditions and order must match the partial indexes literally, or the planner takes another index
# and sorts. Its statistics of a table that fills and empties are often wrong, and a wrong index
# costs minutes. See chassis.storage.migrations.tables, and the relay's session, which never sorts.
_HAS_FAILED = outbox.c.attempts > literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")
_UNSENT = (
    select(outbox)
    .where(outbox.c.sent_at.is_(None))
    .order_by(_HAS_FAILED, outbox.c.urgent, outbox.c.id)
)
_RETRYABLE = _UNSENT.where(_HAS_FAILED.is_(True))
_failed = outbox.alias("failed")
_held_by = (
    select(_failed.c.id)
    .where(
        _failed.c.sent_at.is_(None),
        _failed.c.attempts > literal_column("0"),
        _failed.c.aggregate == outbox.c.aggregate,
    )
    .order_by(_failed.c.attempts)
    .limit(_ONE)
    .scalar_subquery()
)
_NEW = _UNSENT.where(_HAS_FAILED.is_(False), _held_by.is_(None))
# the version before had no urgent messages: the messages that it left go first
_earlier = outbox.alias("earlier")
_left_by_old_version = (
    select(_earlier.c.id)
    .where(
        _earlier.c.sent_at.is_(None),
        _earlier.c.aggregate == outbox.c.aggregate,
        _earlier.c.urgent.is_(False),
        _earlier.c.id < outbox.c.id,
    )
    .order_by(_earlier.c.attempts)
    .limit(_ONE)
    .scalar_subquery()
)

# headers come as text: SQLAlchemy would decode them by a slower decoder
_READ = (
    *("id", "aggregate", "attempts", "body", "routing_key", "exchange", "message_id"),
    *("content_type", "mandatory", "urgent"),
)


class Waiting(NamedTuple):
    """A row that the broker has not confirmed yet."""

    id: int
    aggregate: str | None
    attempts: int
    message: Message


class Page(NamedTuple):
    """How much to take at once: at most `rows`, and none after `octets` of bodies are reached."""

    rows: int
    octets: int

    @property
    def is_full(self) -> bool:
        """Whether no room is left."""
        return self.rows <= 0 or self.octets <= 0

    def less(self, taken: Sequence[Waiting]) -> "Page":
        """Return the room that is left after `taken`."""
        octets = sum(len(row.message.body) for row in taken)
        return Page(self.rows - len(taken), self.octets - octets)


def new_messages(
    connection: Connection,
    page: Page,
    urgent: bool,
    ids: Collection[int] = (),
    aggregates: Collection[str] = (),
) -> list[Waiting]:
    """Return the oldest messages that were never tried and may be published, in order.

    Either the urgent ones or the others. Left out are `ids`, `aggregates`, and each aggregate with
    a failed message: the messages behind it wait. It is one statement and so one snapshot: whenever
    it contains a message, it contains the earlier ones of the same aggregate.
    """
    query = _new_query(urgent, bool(ids), bool(aggregates))
    left_out = {"ids": list(ids)} if ids else {}
    blocked = {"aggregates": list(aggregates)} if aggregates else {}
    return _waiting(connection, query, page, **left_out, **blocked)


def retryable(connection: Connection, page: Page, urgent: bool, after: int) -> list[Waiting]:
    """Return the oldest failed messages behind row `after`; each aggregate has one at most."""
    return _waiting(connection, _retry_query(urgent), page, after=after)


# Built and planned once: both take longer than executing one, and a relay does so for each message
# of a quiet hour.
_Query = PreparedQuery[dict[str, Any]]


@cache
def _new_query(urgent: bool, has_ids: bool, has_aggregates: bool) -> _Query:
    rows = _NEW.where(outbox.c.urgent.is_(urgent))
    if urgent:
        rows = rows.where(_left_by_old_version.is_(None))
    if has_ids:
        ids = bindparam("ids", type_=ARRAY(BIGINT))
        rows = rows.where(outbox.c.id.not_in(select(func.unnest(cast(ids, ARRAY(BIGINT))))))
    if has_aggregates:
        aggregates = cast(bindparam("aggregates", type_=ARRAY(Text)), ARRAY(Text))
        listed = outbox.c.aggregate.in_(select(func.unnest(aggregates)))
        rows = rows.where(listed.is_not(true()))
    return _first(rows)


@cache
def _retry_query(urgent: bool) -> _Query:
    after = bindparam("after", type_=BIGINT)
    return _first(_RETRYABLE.where(outbox.c.urgent.is_(urgent), outbox.c.id > after))


def _first(query: Select[Any]) -> _Query:
    """Return the query for the rows of a page, which it takes as `rows` and `octets`."""
    rows = query.limit(bindparam("rows", type_=BIGINT)).subquery()
    size = func.octet_length(rows.c.body)
    before = func.sum(size).over(order_by=rows.c.id) - size
    sized = select(rows, before.label("before")).subquery()
    columns = (*(sized.c[name] for name in _READ), cast(sized.c.headers, Text))
    few = sized.c.before < bindparam("octets", type_=BIGINT)
    return PreparedQuery("waiting", select(*columns).where(few).order_by(sized.c.id))


def _waiting(connection: Connection, query: _Query, page: Page, **given: object) -> list[Waiting]:
    found = query.rows(connection, rows=page.rows, octets=page.octets, **given)
    return [_read(*row.values()) for row in found]


def _read(
    id: int,
    aggregate: str | None,
    attempts: int,
    body: memoryview,
    routing_key: str,
    exchange: str,
    message_id: str,
    content_type: str,
    mandatory: bool,
    urgent: bool,
    headers: str,
) -> Waiting:
    decoded = orjson.loads(headers)
    return Waiting(
        id,
        aggregate,
        attempts,
        Message(
            *(bytes(body), routing_key, exchange, message_id, decoded, content_type),
            mandatory,
            urgent,
        ),
    )


_MARK_FAILED = (
    update(outbox)
    .where(outbox.c.id == any_(cast(bindparam("ids", type_=ARRAY(BIGINT)), ARRAY(BIGINT))))
    .values(attempts=outbox.c.attempts + 1)
)
_MARK_SENT = _MARK_FAILED.values(sent_at=func.coalesce(outbox.c.sent_at, func.now()))


def mark_sent(connection: Connection, ids: Sequence[int]) -> None:
    """Note that the broker has confirmed these rows, and count the attempt."""
    connection.execute(_MARK_SENT, {"ids": list(ids)})


def mark_failed(connection: Connection, ids: Sequence[int]) -> None:
    """Count an attempt that has failed."""
    connection.execute(_MARK_FAILED, {"ids": list(ids)})
