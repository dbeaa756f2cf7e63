"""Idempotency keys and the table that holds them; chassis.http.idempotency applies them."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Column, DateTime, Integer, LargeBinary, MetaData, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from chassis.storage.retention import Expiry

RETENTION = timedelta(hours=24)
EXPIRY = Expiry("idempotency_keys", "claimed_at", RETENTION)

keys = Table(
    "idempotency_keys",
    MetaData(),
    Column("caller", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("claim", Uuid, nullable=False),
    Column("claimed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("status", Integer),
    Column("headers", JSONB(none_as_null=True)),
    Column("body", LargeBinary),
)


@dataclass(frozen=True)
class RequestKey:
    """A key as its caller gave it; keys of two callers or routes never meet."""

    caller: str
    route: str
    key: str
    body_hash: bytes

    @property
    def message_id(self) -> UUID:
        """The id of the message that this request causes, the same at each repetition.

        The body is part of it, so that a key used again after a day names another message.
        """
        parts = (self.caller, self.route, self.key, self.body_hash.hex())
        return uuid5(NAMESPACE_URL, "\n".join(parts))
