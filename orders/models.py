"""The tables of orders."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    BIGINT,
    Boolean,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Text,
    Uuid,
    func,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of `orders_db`."""


class Order(Base):
    """An order; `uid` is its id in the saga, `order_id` the one that its caller gave.

    Attributes:
        request_key: derived from the idempotency key of the request that made it.
        sweep_at: when its wait for the current step began; None if it is settled.
        resends: how often the current request was sent again.
        stock_freed_at: when inventory confirmed that a cancelled order holds no stock.
        stock_sold_at: when inventory confirmed that the stock of a completed order is sold.
        bill_voided_at: when billing confirmed that a cancelled order's bill is void.
    """

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(BIGINT, Identity(always=True), primary_key=True)
    uid: Mapped[UUID] = mapped_column(Uuid, server_default=func.gen_random_uuid())
    order_id: Mapped[str] = mapped_column(String(50))
    customer_id: Mapped[str] = mapped_column(String(50))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    status: Mapped[str] = mapped_column(Text, server_default="pending")
    total_amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    reason: Mapped[str | None] = mapped_column(Text)
    request_key: Mapped[UUID | None] = mapped_column(Uuid)
    sweep_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    resends: Mapped[int] = mapped_column(Integer, server_default="0")
    stock_freed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    stock_sold_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    bill_voided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class OrderLine(Base):
    """A quantity of a product, at the price when the order was placed."""

    __tablename__ = "order_lines"

    order_pk: Mapped[int] = mapped_column(ForeignKey(Order.id), primary_key=True)
    product_id: Mapped[int] = mapped_column(BIGINT, primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    quantity: Mapped[int] = mapped_column(Integer)
    unit_price: Mapped[Decimal] = mapped_column(Numeric(12, 2))


class OrderChange(Base):
    """A change of an order's state, and its cause."""

    __tablename__ = "order_history"

    id: Mapped[int] = mapped_column(BIGINT, Identity(always=True), primary_key=True)
    order_pk: Mapped[int] = mapped_column(ForeignKey(Order.id))
    from_status: Mapped[str | None] = mapped_column(Text)
    to_status: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    cause: Mapped[str] = mapped_column(Text)
    message_id: Mapped[str | None] = mapped_column(Text)


class DeletedOrder(Base):
    """An order that was deleted before inventory or billing had confirmed its end.

    Attributes:
        uid: of the order.
        order_pk: the id that it had.
        data: the other data of its events, as JSON.
        stock_owed: whether inventory has to confirm that the order holds no stock.
        bill_owed: whether billing has to confirm that the order's bill is void.
        request_id: of the request that made the order.
        sweep_at: when its current wait began.
        resends: how often its request was sent again.
    """

    __tablename__ = "deleted_orders"

    uid: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    order_pk: Mapped[int] = mapped_column(BIGINT)
    order_id: Mapped[str] = mapped_column(String(50))
    status: Mapped[str] = mapped_column(Text)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    stock_owed: Mapped[bool] = mapped_column(Boolean)
    bill_owed: Mapped[bool] = mapped_column(Boolean)
    request_id: Mapped[str | None] = mapped_column(Text)
    deleted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    sweep_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    resends: Mapped[int] = mapped_column(Integer, server_default="0")
