"""`/api/orders`, and `/api/commandes`, its other name."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify

from chassis import trace
from chassis.http import access_log, caller, etag, idempotency
from chassis.http import request as parsing
from chassis.http.etag import created, tagged
from chassis.http.paging import page
from chassis.http.request import BIGINT
from chassis.preconditions import Check
from chassis.schema.decoding import decode
from chassis.storage.database import Database
from orders import orders, queries, statistics
from orders.ordering import Ordering
from orders.queries import OrderView
from orders.schemas import (
    CUSTOMER_ID,
    ORDER_ID,
    STATUS,
    CustomerOrders,
    OrderChange,
    OrderPage,
    OrderQuery,
    StatusOrders,
    new_order,
    status_change,
)
from orders.transitions import Cause

PROCESS = "orders-api"


def order_routes(name: str, ordering: Ordering) -> Blueprint:
    """Return the routes of orders, under `/api/<name>`."""
    routes = Blueprint(name, __name__, url_prefix=f"/api/{name}")
    database = ordering.database

    @routes.post("")
    def create_order() -> Response:
        new = new_order(decode(parsing.raw_body()))
        order, customer = ordering.place_order(new.model_dump(), _cause(), idempotency.message_id())
        response = created(jsonify(_shown(order)), f"/api/{name}/{order['id']}")
        # the ETag stays that of GET, which does not show `customer`
        response.set_data(jsonify({**_shown(order), "customer": customer}).get_data())
        return response

    @routes.get("")
    def list_orders() -> Response:
        return _listed(database, parsing.query(OrderQuery))

    @routes.get("/customer/<path:customer_id>")
    def list_of_customer(customer_id: str) -> Response:
        key = parsing.identifier(_unslashed(customer_id), CUSTOMER_ID, "customer_id")
        return _listed(database, parsing.query(CustomerOrders), customer_id=key)

    @routes.get("/status/<status>")
    def list_in_status(status: str) -> Response:
        key = parsing.identifier(status, STATUS, "status")
        return _listed(database, parsing.query(StatusOrders), status=key)

    @routes.get("/order/<path:order_id>")
    def get_by_order_id(order_id: str) -> Response:
        key = parsing.identifier(_unslashed(order_id), ORDER_ID, "order_id")
        with database.autocommit() as connection:
            return _single(queries.get_by_order_id(connection, key))

    @routes.get("/stats")
    def get_stats() -> Response:
        access_log.skip_if_watched()
        with database.autocommit() as connection:
            return jsonify(statistics.stats(connection))

    @routes.get("/<other(stats):order_pk>")
    def get_order(order_pk: str) -> Response:
        key = parsing.identifier(order_pk, BIGINT)
        with database.autocommit() as connection:
            return _single(queries.get(connection, key))

    @routes.get("/<order_pk>/history")
    def get_history(order_pk: str) -> Response:
        key = parsing.identifier(order_pk, BIGINT)
        with database.autocommit() as connection:
            return jsonify(queries.history(connection, key))

    @routes.put("/<other(stats):order_pk>")
    def change_order(order_pk: str) -> Response:
        key = parsing.identifier(order_pk, BIGINT)
        change = parsing.body(OrderChange).given
        check = _check()
        with database.transaction() as connection:
            order = orders.change(connection, key, change, _cause(), check)
        return tagged(jsonify(_shown(order)))

    @routes.put("/<order_pk>/status")
    def move_order(order_pk: str) -> Response:
        key = parsing.identifier(order_pk, BIGINT)
        status = status_change(decode(parsing.raw_body()))
        check = _check()
        with database.transaction() as connection:
            order = orders.move(connection, key, status, _cause(), check)
        return tagged(jsonify(_shown(order)))

    @routes.delete("/<other(stats):order_pk>")
    def delete_order(order_pk: str) -> Response:
        key = parsing.identifier(order_pk, BIGINT)
        check = _check()
        with database.transaction() as connection:
            order = orders.remove(connection, key, _cause(), check)
        return jsonify(_shown(order))

    return routes


def _listed(database: Database, query: OrderPage, **fixed: str) -> Response:
    chosen = {**query.model_dump(), **fixed, "limit": query.limit + 1}
    with (
        database.transaction() as connection,
        queries.find(connection, **chosen) as found,
    ):
        return tagged(page(map(_shown, found), query.limit))


def _single(order: OrderView) -> Response:
    """Answer with one order; a header has its uid, by which events and its bill name it."""
    response = tagged(jsonify(_shown(order)))
    response.headers[caller.ORDER_UID] = str(order["uid"])
    return response


def _shown(order: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name != "uid"}


def _check() -> Check | None:
    return etag.check(_shown)


def _unslashed(text: str) -> str:
    """Return an id without a final slash, which is the path's; others are the id's."""
    return text.removesuffix("/")


def _cause() -> Cause:
    current = trace.current()
    return Cause(PROCESS, "api", current.request_id if current else None)
