"""The tables of orders."""

from sqlalchemy import (
    BIGINT,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    func,
)

metadata = MetaData()

orders = Table(
    "orders",
    metadata,
    Column("id", BIGINT, Identity(always=True), primary_key=True),
    Column("uid", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    Column("order_id", String(50), nullable=False),
    Column("customer_id", String(50), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("total_amount", Numeric(12, 2), nullable=False),
    Column("reason", Text),
    Column("request_key", Uuid),
    Column("sweep_at", DateTime(timezone=True)),
    Column("resends", Integer, nullable=False, server_default="0"),
    Column("stock_freed_at", DateTime(timezone=True)),
    Column("stock_sold_at", DateTime(timezone=True)),
    Column("bill_voided_at", DateTime(timezone=True)),
)
"""An order; `uid` is its id in the saga, `order_id` the one that its caller gave.

Attributes:
    request_key: derived from the idempotency key of the request that made it.
    sweep_at: when its wait for the current step began; None if it is settled.
    resends: how often the current request was sent again.
    stock_freed_at: when inventory confirmed that a cancelled order holds no stock.
    stock_sold_at: when inventory confirmed that the stock of a completed order is sold.
    bill_voided_at: when billing confirmed that a cancelled order's bill is void.
"""

order_lines = Table(
    "order_lines",
    metadata,
    Column("order_pk", ForeignKey("orders.id"), primary_key=True),
    Column("product_id", BIGINT, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", Numeric(12, 2), nullable=False),
)
"""A quantity of a product, at the price when the order was placed."""

order_history = Table(
    "order_history",
    metadata,
    Column("id", BIGINT, Identity(always=True), primary_key=True),
    Column("order_pk", ForeignKey("orders.id"), nullable=False),
    Column("from_status", Text),
    Column("to_status", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("cause", Text, nullable=False),
    Column("message_id", Text),
)
"""A change of an order's state, and its cause."""

deleted_orders = Table(
    "deleted_orders",
    metadata,
    Column("uid", Uuid, primary_key=True),
    Column("order_pk", BIGINT, nullable=False),
    Column("order_id", String(50), nullable=False),
    Column("status", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("stock_owed", Boolean, nullable=False),
    Column("bill_owed", Boolean, nullable=False),
    Column("request_id", Text),
    Column("deleted_at", DateTime(timezone=True), nullable=False),
    Column("sweep_at", DateTime(timezone=True), nullable=False),
    Column("resends", Integer, nullable=False, server_default="0"),
)
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
