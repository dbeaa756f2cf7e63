"""Events that other systems publish through the gateway: stored first, then published by the relay.

Knows neither HTTP nor the broker. Event data stay JSON text throughout: no number is converted to a
float.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from typing import NamedTuple, TypedDict
from uuid import UUID, uuid4

import orjson
from sqlalchemy import Connection, Text, cast, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert

from chassis.errors import FieldError, InvalidError, found
from chassis.messaging.cloudevents import event
from chassis.outbox import table as outbox
from chassis.storage.database import Database
from chassis.storage.retention import Expiry
from chassis.storage.rows import first, streamed
from gateway.models import events
from gateway.settings import Retention

EXCHANGE, SOURCE = "events", "gateway"


class StoredEvent(TypedDict):
    """An event as it is stored; its data are JSON text."""

    id: int
    uid: UUID
    solution: str
    model: str
    action: str
    event_timestamp: datetime
    data: str
    attempts: int
    delivered_at: datetime | None


_SHOWN = tuple(
    cast(events.c.data, Text).label(name) if name == "data" else events.c[name]
    for name in StoredEvent.__annotations__
)
_FETCH_SIZE = 10  # rows at a time, of up to 256 KiB
_NAMES = {"solution": events.c.solution, "model": events.c.model, "action": events.c.action}
_POSITION_BATCH = 5000  # events that get positions in one statement
_POSITION_SECONDS = 2.0
_ASSIGN_POSITIONS = text(
    "SELECT CASE WHEN EXISTS (SELECT FROM events WHERE position IS NULL) "
    "THEN place_events(:most) ELSE 0 END"
)
_LAST_ID = text("SELECT pg_sequence_last_value(pg_get_serial_sequence('events', 'id')::regclass)")
logger = logging.getLogger(__name__)


class Kind(NamedTuple):
    """The kind of an event: which system, which model, which action."""

    solution: str
    model: str
    action: str


class Stored(NamedTuple):
    """The uid and time that an event has been stored with."""

    uid: UUID
    event_timestamp: datetime


StoreAnswer = Callable[[Connection, Stored], None]
"""Stores the answer to a request in the transaction that stores its event."""


def accept(
    database: Database, kind: Kind, data: bytes, uid: UUID, store_answer: StoreAnswer
) -> Stored:
    """Store and commit an event, only once for each uid.

    Args:
        database: `gateway_db`.
        kind: its names, which form the routing key.
        data: a JSON object that jsonb can hold (see `gateway.jsonb`).
        uid: the event's uid, the same at each repetition of a request.
        store_answer: stores the answer to the request; called last before the commit.

    Raises:
        sqlalchemy.exc.OperationalError: the database has not stored it.
    """
    with database.transaction() as connection:
        stored = store(connection, kind, data, uid)
        store_answer(connection, stored)
    extra = {"message_id": str(stored.uid), "routing_key": ".".join(kind)}
    logger.info("event stored", extra=extra)
    return stored


def store(connection: Connection, kind: Kind, data: bytes, uid: UUID | None = None) -> Stored:
    """Insert an event, and its message into the outbox; the caller commits.

    If an event with this `uid` exists already, it stays, and its message is not sent again.
    """
    stored = Stored(uid or uuid4(), datetime.now(timezone.utc))
    names = kind._asdict()
    message = event(
        EXCHANGE,
        ".".join(kind),
        SOURCE,
        orjson.Fragment(data),
        id=stored.uid,
        time=stored.event_timestamp,
        mandatory=True,
        **names,
    )
    document = cast(literal(data.decode(), Text), JSONB)
    row = {**stored._asdict(), **names, "data": document}
    statement = insert(events).values(row).on_conflict_do_nothing(index_elements=[events.c.uid])
    if connection.execute(statement).rowcount == 0:
        time_of = select(events.c.event_timestamp).where(events.c.uid == stored.uid)
        return Stored(stored.uid, connection.execute(time_of).scalar_one())
    outbox.add(connection, message)
    return stored


def assign_positions(database: Database) -> None:
    """Give each committed event without a position the next one.

    A client that follows the list misses no event: what is committed later is listed later. If
    there are very many, the rest waits for the next call.
    """
    end = time.monotonic() + _POSITION_SECONDS
    with database.autocommit() as connection:
        while time.monotonic() < end:
            assigned = connection.execute(_ASSIGN_POSITIONS, {"most": _POSITION_BATCH}).scalar_one()
            if assigned < _POSITION_BATCH:
                return


def find(
    connection: Connection,
    *,
    names: Mapping[str, str],
    since: datetime | None,
    delivered: bool | None,
    after: int | None,
    limit: int,
) -> AbstractContextManager[Iterator[StoredEvent]]:
    """Stream up to `limit` of the events that have positions, in the order of these.

    Args:
        connection: in a transaction, which a server-side cursor needs.
        names: the `solution`, `model` and `action` to match, as far as given.
        since: the earliest time.
        delivered: whether the broker has confirmed them; None for either.
        after: the id of the last event of the previous page.
        limit: the most events to return.

    Raises:
        InvalidError: there never was an event `after`.
    """
    named = (_NAMES[name] == value for name, value in names.items())
    query = select(*_SHOWN).where(*named).order_by(events.c.position).limit(limit)
    start = 0 if after is None else _position_of(connection, after)
    query = query.where(events.c.position > start)
    if since is not None:
        query = query.where(events.c.event_timestamp >= since)
    if delivered is not None:
        undelivered = events.c.delivered_at.is_(None)
        query = query.where(~undelivered if delivered else undelivered)
    return streamed(connection, query, _FETCH_SIZE, StoredEvent)


def _position_of(connection: Connection, event_id: int) -> int:
    """Return the position of an event, after which the list continues.

    After a deleted event it continues with the oldest: all events that are left came later, except
    those that could not be delivered.
    """
    query = select(events.c.position).where(events.c.id == event_id)
    position: int | None = connection.execute(query).scalar()
    if position is not None:
        return position
    if event_id <= (connection.execute(_LAST_ID).scalar() or 0):
        return 0
    raise InvalidError([FieldError("after", "is not the id of an event")])


def expiry(settings: Retention) -> Expiry:
    """Return the condition for delivered events that have expired."""
    kept = timedelta(days=settings.events_kept_days)
    delivered = "delivered_at IS NOT NULL"
    return Expiry("events", "event_timestamp", kept, delivered, settings.events_kept_rows)


def get(connection: Connection, uid: UUID) -> StoredEvent:
    """Return one event.

    Raises:
        NotFoundError: there is none with this uid.
    """
    query = select(*_SHOWN).where(events.c.uid == uid)
    return found(first(connection, query, StoredEvent), "event", uid, "uid")
