"""The outbox: messages that are committed with the change they tell of, and delivered later.

Source: https://microservices.io/patterns/data/transactional-outbox.html
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
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
    Row,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import BIGINT, JSONB

from chassis.broker import Message

KEPT = timedelta(days=1)
CHANNEL = "outbox"
"""The NOTIFY channel that each insert wakes the relay on (a trigger does)."""

outbox = Table(
    "outbox",
    MetaData(),
    Column("id", BIGINT, Identity(), primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("routing_key", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("mandatory", Boolean, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("aggregate", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("sent_at", DateTime(timezone=True)),
)


Announce = Callable[[Connection, Message, str | None], None]
"""How a service tells of a change in the change's own transaction: `add`, or `strict.Strict`."""


def add(connection: Connection, message: Message, aggregate: str | None = None) -> None:
    """Put a message into the outbox, in the caller's transaction.

    Args:
        connection: in the transaction of the change that the message tells of.
        message: what is to be delivered.
        aggregate: what changed, such as `customer/42`: its messages keep their order. It has to be
            locked by then, as a row is that was just written.
    """
    connection.execute(
        outbox.insert().values(
            message_id=message.id,
            exchange=message.exchange,
            routing_key=message.routing_key,
            content_type=message.content_type,
            mandatory=message.mandatory,
            headers=dict(message.headers),
            body=message.body,
            aggregate=aggregate,
        )
    )


def unsent(connection: Connection, limit: int, after: int = 0) -> list[tuple[int, Message]]:
    """Return the oldest messages that are not confirmed, behind row `after`, with their row ids."""
    unsent = select(outbox).where(outbox.c.sent_at.is_(None), outbox.c.id > after)
    rows = connection.execute(unsent.order_by(outbox.c.id).limit(limit))
    return [(row.id, _message(row)) for row in rows]


def _message(row: Row[Any]) -> Message:
    return Message(
        bytes(row.body),
        row.routing_key,
        row.exchange,
        row.message_id,
        row.headers,
        row.content_type,
        row.mandatory,
    )


def mark_sent(connection: Connection, ids: Sequence[int]) -> None:
    """Note that the broker has confirmed these rows."""
    connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(sent_at=func.now()))


def waits(connection: Connection, aggregate: str) -> bool:
    """Tell whether messages of an aggregate wait to be delivered."""
    waiting = select(outbox.c.id).where(outbox.c.sent_at.is_(None), outbox.c.aggregate == aggregate)
    return connection.execute(select(waiting.exists())).scalar_one()


def backlog(connection: Connection) -> tuple[int, float]:
    """Return how many messages wait, and the age of the oldest in seconds."""
    age = func.extract("epoch", func.now() - func.min(outbox.c.created_at))
    row = connection.execute(
        select(func.count(), func.coalesce(age, 0)).where(outbox.c.sent_at.is_(None))
    ).one()
    return int(row[0]), float(row[1])


def purge(connection: Connection, limit: int = 1000) -> int:
    """Delete some of the rows sent more than a day ago; return how many."""
    old = select(outbox.c.id).where(outbox.c.sent_at < func.now() - KEPT).limit(limit)
    return connection.execute(delete(outbox).where(outbox.c.id.in_(old))).rowcount
