"""Helpers for the tests of `/api/products`."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from chassis.storage.database import Database
from tests.support.answers import content

PRODUCTS, PRODUITS = "/api/products", "/api/produits"
BOTH = pytest.mark.parametrize("path", [PRODUCTS, PRODUITS])
MOST = 2**31 - 1
DVD: dict[str, Any] = {
    "name": "The Matrix (DVD)",
    "description": "A hacker learns the truth.",
    "price": 9.99,
    "stock": 3,
    "movie_id": None,
}


def create(inventory: FlaskClient, name: str = "DVD", **given: object) -> dict[str, Any]:
    """Create a product, by default for 9.99."""
    response = inventory.post(PRODUCTS, json={"name": name, "price": 9.99, **given})
    assert response.status_code == 201, response.text
    product: dict[str, Any] = content(response)
    return product


def adjust(inventory: FlaskClient, product_id: int, delta: object) -> TestResponse:
    """Change the stock of a product."""
    return inventory.post(f"{PRODUCTS}/{product_id}/stock", json={"delta": delta})


def stored(database: Database) -> list[dict[str, Any]]:
    """The rows of the table."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT * FROM products ORDER BY id")).mappings()
        return [dict(row) for row in rows]
