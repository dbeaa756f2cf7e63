"""Inventory's tables."""

from datetime import datetime
from decimal import Decimal
from typing import TypedDict
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
    """A product; `movie_id` is the movie that it is an edition of."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(BIGINT, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    price: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    stock: Mapped[int] = mapped_column(Integer, server_default="0")
    movie_id: Mapped[int | None] = mapped_column(
        BIGINT, ForeignKey("movies.id", name="products_movie", ondelete="SET NULL")
    )


class Shortage(TypedDict):
    """A product of which fewer are in stock than an order asks for; no name if it doesn't exist."""

    product_id: int
    name: str | None
    asked: int
    available: int


class Reservation(Base):
    """The state of an order's stock.

    Attributes:
        state: `reserved`, `rejected`, `released`, `completed`, or `cancelled` (before it was
            reserved).
        short: the shortages of a rejected one; None if the row is older than this column.
        cancelled: whether the order's cancellation has arrived.
    """

    __tablename__ = "reservations"

    uid: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    order_id: Mapped[str] = mapped_column(String(50))
    state: Mapped[str] = mapped_column(Text)
    short: Mapped[list[Shortage] | None] = mapped_column(JSONB(none_as_null=True))
    cancelled: Mapped[bool] = mapped_column(Boolean, server_default=false())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ReservationLine(Base):
    """The quantity of a product that a reservation took; the product may be deleted since."""

    __tablename__ = "reservation_lines"

    uid: Mapped[UUID] = mapped_column(
        ForeignKey("reservations.uid", ondelete="CASCADE"), primary_key=True
    )
    product_id: Mapped[int] = mapped_column(BIGINT, primary_key=True)
    quantity: Mapped[int] = mapped_column(Integer)
