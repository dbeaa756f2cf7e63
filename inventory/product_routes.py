"""`/api/products` and its alias `/api/produits`."""

from flask import Blueprint, Response, jsonify

from chassis.http import etag, idempotency
from chassis.http import request as parsing
from chassis.http.etag import created, tagged
from chassis.http.paging import page
from chassis.http.request import BIGINT
from chassis.storage.database import Database
from inventory import products
from inventory.schemas import NewProduct, ProductChange, ProductQuery, StockChange

_STOCK_NEEDS_TAG = (
    "Setting stock would undo what was reserved or sold since you read it: send If-Match with the "
    "ETag of GET, or change the stock by POST /stock with a delta."
)


def product_routes(name: str, database: Database) -> Blueprint:
    """Return the routes of products, under `/api/<name>`."""
    routes = Blueprint(name, __name__, url_prefix=f"/api/{name}")

    @routes.get("")
    def list_products() -> Response:
        query = parsing.query(ProductQuery)
        criteria = query.model_dump() | {"limit": query.limit + 1}
        with database.autocommit() as connection:
            found = products.find(connection, **criteria)
        return tagged(page(found, query.limit))

    @routes.post("")
    def create_product() -> Response:
        new = parsing.body(NewProduct)
        with database.transaction() as connection:
            product = products.create(connection, new.model_dump())
            response = created(jsonify(dict(product)), f"/api/{name}/{product['id']}")
            idempotency.store_answer(connection, response)
        return response

    @routes.get("/<product_id>")
    def get_product(product_id: str) -> Response:
        key = parsing.identifier(product_id, BIGINT)
        with database.autocommit() as connection:
            return tagged(jsonify(dict(products.get(connection, key))))

    @routes.put("/<product_id>")
    def change_product(product_id: str) -> Response:
        key = parsing.identifier(product_id, BIGINT)
        change = parsing.body(ProductChange).given
        check = etag.check(required=_STOCK_NEEDS_TAG if "stock" in change else None)
        with database.transaction() as connection:
            product = products.change(connection, key, change, check)
        return tagged(jsonify(dict(product)))

    @routes.delete("/<product_id>")
    def delete_product(product_id: str) -> Response:
        key = parsing.identifier(product_id, BIGINT)
        check = etag.check()
        with database.transaction() as connection:
            product = products.remove(connection, key, check)
        return jsonify(dict(product))

    @routes.post("/<product_id>/stock")
    def adjust_stock(product_id: str) -> Response:
        key = parsing.identifier(product_id, BIGINT)
        delta = parsing.body(StockChange).delta
        check = etag.check()
        with database.transaction() as connection:
            product = products.adjust(connection, key, delta, check)
            response = tagged(jsonify(dict(product)))
            idempotency.store_answer(connection, response)
        return response

    return routes
