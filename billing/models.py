"""Billing's tables."""

from sqlalchemy import (
    BIGINT,
    Column,
    DateTime,
    Identity,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    func,
)

metadata = MetaData()

bills = Table(
    "orders",
    metadata,
    Column("id", BIGINT, Identity(), primary_key=True),
    Column("message_id", String(255), unique=True, nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("number_of_items", Integer, nullable=False),
    Column("total_amount", Numeric(12, 2), nullable=False),
    Column("order_id", String(50)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("voided_at", DateTime(timezone=True)),
)
"""A bill; its table is called `orders`, a name that users of billing_db rely on."""

voided_bills = Table(
    "voided_bills",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("voided_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""A note that the bill of a message is void, made before the bill arrived."""

bill_queues = Table(
    "bill_queues",
    metadata,
    Column("name", Text, primary_key=True),
    Column("consumed_since", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""A queue that `RABBITMQ_QUEUE` names, or has named before."""
