"""Events of orders, and inventory's reservations for them."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message
from chassis.storage.database import Database

EXCHANGE, QUEUE, DEAD = "order_events", "inventory_inbox", "inventory_inbox.dlq"
CREATED, CANCELLED, COMPLETED = "order.created", "order.cancelled", "order.completed"
SECONDS = 60.0
Lines = Sequence[tuple[int, int]]


def order(type: str, uid: UUID, lines: Lines, id: UUID | None = None) -> Message:
    """An event of an order, as orders publishes it; `lines` are products and quantities."""
    data = {
        "uid": uid,
        "id": 7,
        "order_id": f"CMD-{str(uid)[:8]}",
        "customer_id": "1",
        "email": None,
        "status": "pending",
        "total": 9.99,
        "lines": [
            {"product_id": product_id, "name": "DVD", "quantity": quantity, "unit_price": 9.99}
            for product_id, quantity in lines
        ],
        "reason": None,
        "timestamp": "2026-01-01T00:00:00Z",
    }
    return event(EXCHANGE, type, "orders-api", data, id=id)


def stocks(database: Database) -> dict[int, int]:
    """The stock of each product, by its id."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT id, stock FROM products ORDER BY id")).all()
        return {row.id: row.stock for row in rows}


def states(database: Database) -> dict[UUID, str]:
    """The state of each order's reservation."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT uid, state FROM reservations")).all()
        return {row.uid: row.state for row in rows}


def reserved(database: Database) -> dict[int, int]:
    """How many of each product are reserved."""
    statement = (
        "SELECT product_id, sum(quantity) AS quantity FROM reservation_lines "
        "JOIN reservations USING (uid) WHERE state = 'reserved' GROUP BY product_id"
    )
    with database.autocommit() as connection:
        rows = connection.execute(text(statement)).all()
        return {row.product_id: int(row.quantity) for row in rows}


def told(database: Database) -> list[dict[str, Any]]:
    """The events of stock in the outbox, in order."""
    statement = "SELECT * FROM outbox WHERE routing_key LIKE 'stock.%' ORDER BY id"
    with database.autocommit() as connection:
        rows = connection.execute(text(statement)).all()
    events = [json.loads(bytes(row.body)) for row in rows]
    for row, said in zip(rows, events, strict=True):
        assert (row.exchange, row.routing_key) == ("inventory_events", said["type"])
        assert row.aggregate == f"order/{said['data']['uid']}"
        assert said["source"] == "inventory-consumer"
    return events


def told_types(database: Database) -> list[str]:
    """The types of the events of stock."""
    return [said["type"] for said in told(database)]
