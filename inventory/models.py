"""Inventory's tables."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BIGINT,
    Boolean,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    Numeric,
    String,
    Text,
    Uuid,
    false,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of `movies_db`."""


class Movie(Base):
    """A movie."""

    __tablename__ = "movies"

    id: Mapped[int] = mapped_column(BIGINT, Identity(), primary_key=True)
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)


class Product(Base):
    """What is sold; `movie_id` says of which movie it is an edition."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(BIGINT, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    price: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    stock: Mapped[int] = mapped_column(Integer, server_default="0")
    movie_id: Mapped[int | None] = mapped_column(
        BIGINT, ForeignKey("movies.id", name="products_movie", ondelete="SET NULL")
    )


class Reservation(Base):
    """What became of an order's wish for stock.

    Attributes:
        state: `reserved`, `rejected`, `released`, or `cancelled` (before it was reserved).
        short: what was short of a rejected one; None if it is older than this column.
        cancelled: whether its cancellation has come.
    """

    __tablename__ = "reservations"

    uid: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    order_id: Mapped[str] = mapped_column(String(50))
    state: Mapped[str] = mapped_column(Text)
    short: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    cancelled: Mapped[bool] = mapped_column(Boolean, server_default=false())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ReservationLine(Base):
    """How much of a product a reservation took; the product may be deleted by now."""

    __tablename__ = "reservation_lines"

    uid: Mapped[UUID] = mapped_column(
        ForeignKey("reservations.uid", ondelete="CASCADE"), primary_key=True
    )
    product_id: Mapped[int] = mapped_column(BIGINT, primary_key=True)
    quantity: Mapped[int] = mapped_column(Integer)
