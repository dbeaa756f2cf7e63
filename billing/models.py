"""Billing's tables."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BIGINT, DateTime, Identity, Integer, Numeric, String, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of `billing_db`."""


class Bill(Base):
    """A bill; its table is called `orders`, a name that users of billing_db rely on."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(BIGINT, Identity(), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(255), unique=True)
    user_id: Mapped[str] = mapped_column(String(64))
    number_of_items: Mapped[int] = mapped_column(Integer)
    total_amount: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    order_id: Mapped[str | None] = mapped_column(String(50))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    voided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class VoidedBill(Base):
    """A note that the bill of a message is void, made before the bill arrived."""

    __tablename__ = "voided_bills"

    message_id: Mapped[str] = mapped_column(Text, primary_key=True)
    voided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class BillQueue(Base):
    """A queue that `RABBITMQ_QUEUE` names, or has named before."""

    __tablename__ = "bill_queues"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    consumed_since: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
