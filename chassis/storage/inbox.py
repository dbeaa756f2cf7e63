"""The inbox: which messages each consumer has applied, so that a duplicate changes nothing.

Source: https://microservices.io/patterns/communication-style/idempotent-consumer.html
"""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    MetaData,
    Table,
    Text,
    func,
)

from chassis.settings import RetentionSettings
from chassis.storage.prepared import PreparedStatement
from chassis.storage.retention import Expiry

inbox = Table(
    "inbox",
    MetaData(),
    Column("consumer", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

_MARK = PreparedStatement(
    "mark_applied",
    """
    INSERT INTO inbox (consumer, message_id)
    SELECT CAST(:consumer AS text), unnest(CAST(:ids AS text[]))
    ON CONFLICT DO NOTHING
    RETURNING message_id
    """,
)


def mark_applied(connection: Connection, consumer: str, message_ids: Iterable[str]) -> set[str]:
    """Mark messages in the transaction that applies them; return those not marked before.

    If another transaction is marking one of them, this waits until that transaction ends.

    Args:
        connection: in that transaction.
        consumer: the name of the process that applies them. If two consumers of one database
            receive the same event, each applies it.
        message_ids: the messages.
    """
    # sorted, so that two consumers never wait for each other
    ids = sorted(set(message_ids))
    if not ids:
        return set()
    marked = _MARK.execute(connection, {"consumer": consumer, "ids": ids})
    return {message_id for (message_id,) in marked}


def expiry(settings: RetentionSettings) -> Expiry:
    """Return which marks are old enough that no redelivery can match them."""
    return Expiry("inbox", "applied_at", timedelta(days=settings.inbox_kept_days))
