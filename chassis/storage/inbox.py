"""The inbox: which messages each consumer has applied, so that a redelivery changes nothing.

Source: https://microservices.io/patterns/communication-style/idempotent-consumer.html
"""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import Column, Connection, DateTime, MetaData, Table, Text, func
from sqlalchemy.dialects.postgresql import insert

from chassis.settings import RetentionSettings
from chassis.storage.retention import Expiry

inbox = Table(
    "inbox",
    MetaData(),
    Column("consumer", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


def mark_applied(connection: Connection, consumer: str, message_ids: Iterable[str]) -> set[str]:
    """Note messages in the transaction that applies them; return those that were not there yet.

    Where another transaction has just noted one of them, this waits for its end.

    Args:
        connection: in that transaction.
        consumer: who applies them, by its process name. Two consumers of one database that receive
            the same event each apply it.
        message_ids: the messages.
    """
    # in one order, so that two consumers never wait for each other
    rows = [{"consumer": consumer, "message_id": id} for id in sorted(set(message_ids))]
    if not rows:
        return set()
    statement = insert(inbox).values(rows).on_conflict_do_nothing().returning(inbox.c.message_id)
    return set(connection.execute(statement).scalars())


def expiry(settings: RetentionSettings) -> Expiry:
    """Return the condition for marks that no redelivery can match any more."""
    return Expiry("inbox", "applied_at", timedelta(days=settings.inbox_kept_days))
