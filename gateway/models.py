"""The gateway's own tables; outbox and idempotency keys are the chassis's."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BIGINT, DateTime, Identity, Integer, LargeBinary, String, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of `gateway_db`."""


class Event(Base):
    """An event that another system has published through the gateway.

    A trigger of the outbox copies `attempts` and `delivered_at`, so that they outlive its rows.
    `position` is its place in the list, assigned after its commit (`place_events`).
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BIGINT, Identity(always=True), primary_key=True)
    uid: Mapped[UUID] = mapped_column(unique=True)
    solution: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    data: Mapped[Any] = mapped_column(JSONB)
    event_timestamp: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    delivered_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    position: Mapped[int | None] = mapped_column(BIGINT)


class Token(Base):
    """A token that identifies a caller; only its SHA-256 is stored."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(BIGINT, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
