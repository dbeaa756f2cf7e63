"""Helpers for the tests of `/api/orders`."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from chassis.storage.database import Database
from orders.orders import create as create_order
from orders.queries import OrderView
from orders.transitions import Cause
from tests.support.answers import JSON, content

ORDERS, COMMANDES = "/api/orders", "/api/commandes"
BOTH = pytest.mark.parametrize("path", [ORDERS, COMMANDES])
BARE: dict[str, Any] = {"order_id": "CMD001", "customer_id": "CLIENT123", "total_amount": 150.5}
LINES: list[dict[str, Any]] = [
    {"product_id": 1, "name": "The Matrix, DVD", "quantity": 2, "unit_price": Decimal("9.99")},
    {"product_id": 4, "name": "Tron, Blu-ray", "quantity": 1, "unit_price": Decimal("20.00")},
]
TESTS = Cause("tests", "api", None)


def create(orders: FlaskClient, **given: object) -> dict[str, Any]:
    """Create a bare order."""
    values = {"customer_id": "CLIENT123", "total_amount": 10, **given}
    response = orders.post(ORDERS, json=values)
    assert response.status_code == 201, response.text
    return shown(response)


def shown(response: TestResponse) -> dict[str, Any]:
    """The order in an answer of POST without `customer`, as other answers show it."""
    order: dict[str, Any] = content(response)
    assert order.pop("customer") in ("known", "unknown", "unchecked")
    return order


def create_with_items(database: Database, status: str = "pending", **given: object) -> OrderView:
    """Store an order with items, as POST does."""
    amount = sum(line["quantity"] * line["unit_price"] for line in LINES)
    values = {"order_id": None, "customer_id": "1", "total_amount": amount, "status": status}
    with database.transaction() as connection:
        return create_order(connection, {**values, **given}, LINES, TESTS)


def make(orders: FlaskClient, database: Database, status: str, has_items: bool) -> int:
    """Make an order of either kind in a state; return its id."""
    if has_items:
        return int(create_with_items(database, status)["id"])
    return int(create(orders, status=status)["id"])


def moment(written: str) -> datetime:
    """Parse a time of RFC 3339 (Python 3.10 does not read its Z)."""
    return datetime.fromisoformat(written.replace("Z", "+00:00"))


def write(orders: FlaskClient, method: str, data: bytes, kind: str = JSON) -> TestResponse:
    """Create an order with `data`, change an existing one, or move it."""
    if method == "POST":
        return orders.post(ORDERS, data=data, content_type=kind)
    below = "/status" if method == "MOVE" else ""
    path = f"{ORDERS}/{create(orders)['id']}{below}"
    return orders.put(path, data=data, content_type=kind)


def announced(database: Database) -> list[dict[str, Any]]:
    """The events in the outbox."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT * FROM outbox ORDER BY id")).all()
    for row in rows:
        told = json.loads(bytes(row.body))
        assert (row.exchange, row.routing_key) == ("order_events", told["type"])
        assert row.aggregate == f"order/{told['data']['uid']}"
        assert row.message_id == told["id"]
    return [json.loads(bytes(row.body)) for row in rows]


def types(database: Database) -> list[str]:
    """The types of the events in the outbox."""
    return [told["type"] for told in announced(database)]


def stored(database: Database) -> list[dict[str, Any]]:
    """The rows of the table."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT * FROM orders ORDER BY id")).mappings()
        return [dict(row) for row in rows]
