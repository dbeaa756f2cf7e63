"""`/api/products` and its alias `/api/produits`."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify

from chassis.http import etag, idempotency
from chassis.http import request as parsing
from chassis.http.etag import tagged
from chassis.http.request import BIGINT
from chassis.http.resource_routes import Requests, resource_routes
from chassis.storage.database import Database
from inventory import caching, products
from inventory.schemas import NewProduct, ProductChange, ProductQuery, StockChange

_STOCK_NEEDS_TAG = (
    "Setting stock would undo what was reserved or sold since you read it: send If-Match with the "
    "ETag of GET, or change the stock by POST /stock with a delta."
)


def product_routes(name: str, database: Database) -> Blueprint:
    """Return the routes of products, under `/api/<name>`."""
    requests = Requests("product", ProductQuery, NewProduct, ProductChange, _required)
    routes = resource_routes(name, database, products, requests)

    @routes.post("/<product_id>/stock")
    def adjust_stock(product_id: str) -> Response:
        key = parsing.identifier(product_id, BIGINT)
        delta = parsing.body(StockChange).delta
        check = etag.check()
        with database.transaction() as connection:
            product = products.adjust(connection, key, delta, check)
            response = tagged(jsonify(product))
            idempotency.store_answer(connection, response)
        return response

    return caching.allow(routes, caching.PRODUCTS_SECONDS)


def _required(change: Mapping[str, Any]) -> str | None:
    return _STOCK_NEEDS_TAG if "stock" in change else None
