"""Inventory's tables."""

from typing import TypedDict

from sqlalchemy import (
    BIGINT,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    false,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

movies = Table(
    "movies",
    metadata,
    Column("id", BIGINT, Identity(), primary_key=True),
    Column("title", String(255), nullable=False),
    Column("description", Text),
)
"""A movie."""

products = Table(
    "products",
    metadata,
    Column("id", BIGINT, Identity(), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("price", Numeric(12, 2), nullable=False),
    Column("stock", Integer, nullable=False, server_default="0"),
    Column("movie_id", BIGINT, ForeignKey("movies.id", name="products_movie", ondelete="SET NULL")),
)
"""A product; `movie_id` is the movie that it is an edition of."""


class Shortage(TypedDict):
    """A product of which fewer are in stock than an order asks for; no name if it doesn't exist."""

    product_id: int
    name: str | None
    asked: int
    available: int


reservations = Table(
    "reservations",
    metadata,
    Column("uid", Uuid, primary_key=True),
    Column("order_id", String(50), nullable=False),
    Column("state", Text, nullable=False),
    Column("short", JSONB(none_as_null=True)),
    Column("cancelled", Boolean, nullable=False, server_default=false()),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""The state of an order's stock.

Attributes:
    state: `reserved`, `rejected`, `released`, `completed`, or `cancelled` (before it was
        reserved).
    short: the shortages of a rejected one; None if the row is older than this column.
    cancelled: whether the order's cancellation has arrived.
"""

reservation_lines = Table(
    "reservation_lines",
    metadata,
    Column("uid", ForeignKey("reservations.uid", ondelete="CASCADE"), primary_key=True),
    Column("product_id", BIGINT, primary_key=True),
    Column("quantity", Integer, nullable=False),
)
"""The quantity of a product that a reservation took; the product may be deleted since."""
