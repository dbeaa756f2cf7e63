"""Events that other systems put on the bus: stored first, published by the relay.

Knows neither HTTP nor the broker. Data are JSON as text throughout: no number passes through a
float on its way in or out.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from typing import NamedTuple
from uuid import UUID, uuid4

import orjson
from sqlalchemy import Connection, RowMapping, Text, cast, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert

from chassis.errors import FieldError, InvalidError, NotFoundError
from chassis.messaging.cloudevents import event
from chassis.messaging.topology import Binding, Exchange, Queue, Topology
from chassis.outbox import table as outbox
from chassis.storage.database import Database, streamed
from chassis.storage.retention import Expiry
from gateway.models import Event
from gateway.settings import Retention

EXCHANGE, QUEUE, SOURCE = "events", "events_queue", "gateway"
TOPOLOGY: Topology = (Exchange(EXCHANGE, "topic"), Queue(QUEUE), Binding(QUEUE, EXCHANGE))
_FETCHED = 10  # rows at a time, of up to 256 KiB
_SHOWN = (
    Event.id,
    Event.uid,
    Event.solution,
    Event.model,
    Event.action,
    Event.event_timestamp,
    cast(Event.data, Text).label("data"),
    Event.attempts,
    Event.delivered_at,
)
_NAMES = {"solution": Event.solution, "model": Event.model, "action": Event.action}
_PLACED = 5000  # events that one statement places
_PLACE_SECONDS = 2.0
_PLACE = text(
    "SELECT CASE WHEN EXISTS (SELECT FROM events WHERE position IS NULL) "
    "THEN place_events(:most) ELSE 0 END"
)
_LAST_ID = text("SELECT pg_sequence_last_value(pg_get_serial_sequence('events', 'id')::regclass)")
logger = logging.getLogger(__name__)


class Kind(NamedTuple):
    """What happened to what in which system."""

    solution: str
    model: str
    action: str


class Stored(NamedTuple):
    """What an event got when it was stored."""

    uid: UUID
    event_timestamp: datetime


Keep = Callable[[Connection, Stored], None]
"""Keeps the answer to a request in the transaction that has stored its event."""


def accept(database: Database, kind: Kind, data: bytes, uid: UUID, keep: Keep) -> Stored:
    """Store an event for good, once for one uid.

    Args:
        database: `gateway_db`.
        kind: its names, of which the routing key is made.
        data: a JSON object that jsonb can hold (see `gateway.jsonb`).
        uid: the event's own, the same at each repetition of a request.
        keep: called last before the commit.

    Raises:
        sqlalchemy.exc.OperationalError: the database has not taken it.
    """
    with database.unit_of_work() as connection:
        stored = store(connection, kind, data, uid)
        keep(connection, stored)
        connection.commit()
    extra = {"message_id": str(stored.uid), "routing_key": ".".join(kind)}
    logger.info("event stored", extra=extra)
    return stored


def store(connection: Connection, kind: Kind, data: bytes, uid: UUID | None = None) -> Stored:
    """Insert an event, and its message into the outbox; the caller commits.

    An event that is there already under this `uid` stays, and its message is not sent again.
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
    statement = insert(Event).values(row).on_conflict_do_nothing(index_elements=[Event.uid])
    if connection.execute(statement).rowcount == 0:
        time_of = select(Event.event_timestamp).where(Event.uid == stored.uid)
        return Stored(stored.uid, connection.execute(time_of).scalar_one())
    outbox.add(connection, message)
    return stored


def place(database: Database) -> None:
    """Give the events that are committed and have no place yet theirs, behind all others.

    A client that follows the list misses no event: what is committed later is listed later. If
    there are very many, the others have to wait for the next call.
    """
    end = time.monotonic() + _PLACE_SECONDS
    with database.read() as connection:
        while time.monotonic() < end:
            placed = connection.execute(_PLACE, {"most": _PLACED}).scalar_one()
            if placed < _PLACED:
                return


def find(
    connection: Connection,
    *,
    names: Mapping[str, str],
    since: datetime | None,
    delivered: bool | None,
    after: int | None,
    limit: int,
) -> AbstractContextManager[Iterator[RowMapping]]:
    """Lend up to `limit` of the placed events in the order of their places, as they are taken.

    Args:
        connection: in a transaction, which a cursor in the database needs.
        names: those of `solution`, `model` and `action` that matter.
        since: the earliest time.
        delivered: whether the broker has confirmed them; either, if None.
        after: the id of the last event of the page before.
        limit: at most so many.

    Raises:
        InvalidError: there never was an event `after`.
    """
    named = (_NAMES[name] == value for name, value in names.items())
    query = select(*_SHOWN).where(*named).order_by(Event.position).limit(limit)
    query = query.where(Event.position > (0 if after is None else _place_of(connection, after)))
    if since is not None:
        query = query.where(Event.event_timestamp >= since)
    if delivered is not None:
        waits = Event.delivered_at.is_(None)
        query = query.where(~waits if delivered else waits)
    return streamed(connection, query, _FETCHED)


def _place_of(connection: Connection, event_id: int) -> int:
    """Return behind which place the list goes on after an event.

    After one that was deleted since, with the oldest: what is still there came later, but for what
    could not be delivered.
    """
    position = connection.execute(select(Event.position).where(Event.id == event_id)).scalar()
    if position is not None:
        return position
    if event_id <= (connection.execute(_LAST_ID).scalar() or 0):
        return 0
    raise InvalidError([FieldError("after", "is not the id of an event")])


def expiry(settings: Retention) -> Expiry:
    """Return which events RabbitMQ has confirmed and nobody can ask for any more."""
    kept = timedelta(days=settings.events_kept_days)
    delivered = "delivered_at IS NOT NULL"
    return Expiry("events", "event_timestamp", kept, delivered, settings.events_kept_rows)


def get(connection: Connection, uid: UUID) -> RowMapping:
    """Return one event.

    Raises:
        NotFoundError: there is none with this uid.
    """
    found = connection.execute(select(*_SHOWN).where(Event.uid == uid)).mappings().first()
    if found is None:
        raise NotFoundError(f"There is no event with the uid {uid}.")
    return found
