"""The outbox: messages committed together with the change they announce, and published later.

Source: https://microservices.io/patterns/data/transactional-outbox.html
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import BIGINT, JSONB

from chassis.json import encode
from chassis.messaging.message import Message
from chassis.settings import RetentionSettings
from chassis.storage import after_commit
from chassis.storage.prepared import PreparedStatement
from chassis.storage.retention import Expiry

CHANNEL = "outbox"
"""The NOTIFY channel that wakes the relay, behind the commit of each insert."""

outbox = Table(
    "outbox",
    MetaData(),
    Column("id", BIGINT, Identity(), primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("mandatory", Boolean, nullable=False),
    Column("urgent", Boolean, nullable=False, server_default=false()),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("aggregate", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("sent_at", DateTime(timezone=True)),
)

_OFTEN_EQUAL = ("exchange", "routing_key", "content_type", "mandatory", "urgent", "aggregate")
"""The columns that many messages have in common."""
_TYPES = {
    **dict.fromkeys(("message_id", "exchange", "routing_key", "content_type", "aggregate"), "text"),
    **{"mandatory": "boolean", "urgent": "boolean", "headers": "jsonb", "body": "bytea"},
}
_ADDED = ("message_id", "headers", "body", *_OFTEN_EQUAL)


@cache
def _insert_all(equal: frozenset[str]) -> PreparedStatement:
    """Return the statement that inserts messages from arrays, and from values that all share.

    With a row of VALUES for each message, each number of messages would be another statement.

    Args:
        equal: the columns whose value all messages share: an array would cost both sides more.
    """
    listed = [name for name in _ADDED if name not in equal]
    # headers are encoded already
    arrays = (
        f"CAST(:{name} AS {_TYPES[name]}[])"
        if name != "headers"
        else "CAST(CAST(:headers AS text[]) AS jsonb[])"
        for name in listed
    )
    values = (
        f"CAST(:{name} AS {_TYPES[name]})" if name in equal else f"added.{name}" for name in _ADDED
    )
    text = f"""
        INSERT INTO outbox ({", ".join(_ADDED)}) SELECT {", ".join(values)}
        FROM unnest({", ".join(arrays)}) WITH ORDINALITY AS added ({", ".join(listed)}, position)
        ORDER BY added.position
    """
    return PreparedStatement("add_messages", text)


_ADD = PreparedStatement(
    "add_message",
    """
    INSERT INTO outbox (message_id, exchange, routing_key, content_type, mandatory, urgent,
        headers, body, aggregate)
    VALUES (CAST(:message_id AS text), CAST(:exchange AS text), CAST(:routing_key AS text),
        CAST(:content_type AS text), CAST(:mandatory AS boolean), CAST(:urgent AS boolean),
        CAST(:headers AS jsonb), CAST(:body AS bytea), CAST(:aggregate AS text))
    """,
)

PublishEvent = Callable[[Connection, Message, str | None], None]
"""Publishes the event of a change in its transaction: `add`, or `SynchronousPublisher.publish`."""


def add(connection: Connection, message: Message, aggregate: str | None = None) -> None:
    """Put a message into the outbox, in the caller's transaction.

    Args:
        connection: in the transaction of the change that the message announces.
        message: what to publish.
        aggregate: what changed, such as `customer/42`. Its messages keep their order if all are
            urgent or none is. The caller must hold its lock, such as that of a row just written.
    """
    row = _row(message, aggregate)
    _ADD.execute(connection, row | {"headers": encode(row["headers"]).decode()})
    after_commit.notify(connection, CHANNEL)


def add_all(
    connection: Connection, messages: Sequence[Message], aggregates: Sequence[str] | None = None
) -> None:
    """Put messages into the outbox by one statement, in the caller's transaction.

    Args:
        connection: in the transaction of the changes that the messages announce.
        messages: what to publish; may be empty.
        aggregates: what changed, one for each message, as in `add`; if None, the messages have no
            aggregate.
    """
    of_each: Sequence[str | None] = [None] * len(messages) if aggregates is None else aggregates
    rows = [_row(*pair) for pair in zip(messages, of_each, strict=True)]
    if not rows:
        return
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in _ADDED}
    columns["headers"] = [encode(headers).decode() for headers in columns["headers"]]
    equal = frozenset(name for name in _OFTEN_EQUAL if _are_equal(columns[name]))
    columns |= {name: columns[name][0] for name in equal}
    _insert_all(equal).execute(connection, columns)
    after_commit.notify(connection, CHANNEL)


def _are_equal(values: Sequence[object]) -> bool:
    return values.count(values[0]) == len(values)


def _row(message: Message, aggregate: str | None) -> dict[str, Any]:
    return {
        "message_id": message.id,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "content_type": message.content_type,
        "mandatory": message.mandatory,
        "urgent": message.urgent,
        "headers": dict(message.headers),
        "body": message.body,
        "aggregate": aggregate,
    }


def has_pending(connection: Connection, aggregate: str) -> bool:
    """Return whether messages of an aggregate wait to be published."""
    waiting = select(outbox.c.id).where(outbox.c.sent_at.is_(None), outbox.c.aggregate == aggregate)
    return connection.execute(select(waiting.exists())).scalar_one()


def backlog(connection: Connection) -> tuple[int, float]:
    """Return how many messages wait, and the age of the oldest in seconds."""
    age = func.extract("epoch", func.now() - func.min(outbox.c.created_at))
    row = connection.execute(
        select(func.count(), func.coalesce(age, 0)).where(outbox.c.sent_at.is_(None))
    ).one()
    return int(row[0]), float(row[1])


def expiry(settings: RetentionSettings) -> Expiry:
    """Return which sent rows are deleted; unsent rows never are."""
    return Expiry(
        "outbox",
        "sent_at",
        timedelta(hours=settings.outbox_kept_hours),
        "sent_at IS NOT NULL",
        settings.outbox_kept_rows,
    )
