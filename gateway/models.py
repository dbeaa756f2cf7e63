"""The gateway's own tables; outbox and idempotency keys are the chassis's."""

from sqlalchemy import (
    BIGINT,
    Column,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("id", BIGINT, Identity(always=True), primary_key=True),
    Column("uid", Uuid, unique=True, nullable=False),
    Column("solution", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("data", JSONB, nullable=False),
    Column("event_timestamp", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("delivered_at", DateTime(timezone=True)),
    Column("position", BIGINT),
)
"""An event that another system has published through the gateway.

A trigger of the outbox copies `attempts` and `delivered_at`, so that they outlive its rows.
`position` is its place in the list, assigned after its commit (`place_events`).
"""

tokens = Table(
    "tokens",
    metadata,
    Column("id", BIGINT, Identity(always=True), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("hash", LargeBinary, unique=True, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)
"""A token that identifies a caller; only its SHA-256 is stored."""
