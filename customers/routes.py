"""`/api/customers`, and `/api/clients`, its other name."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify
from sqlalchemy import Connection

from chassis.http import etag, idempotency
from chassis.http import request as parsing
from chassis.http.etag import created, tagged
from chassis.http.paging import page
from chassis.http.request import BIGINT
from customers.customers import Customers
from customers.schemas import CustomerChange, CustomerQuery, NewCustomer


def customer_routes(name: str, customers: Customers) -> Blueprint:
    """Return the routes of customers, under `/api/<name>`."""
    routes = Blueprint(name, __name__, url_prefix=f"/api/{name}")

    @routes.get("")
    def list_customers() -> Response:
        query = parsing.query(CustomerQuery)
        found = customers.find(
            email=query.email, name=query.name, after=query.after, limit=query.limit + 1
        )
        return tagged(page(found, query.limit))

    @routes.post("")
    def create_customer() -> Response:
        new = parsing.body(NewCustomer)

        def keep(connection: Connection, customer: Mapping[str, Any]) -> None:
            idempotency.store_answer(connection, _created(name, customer))

        return _created(name, customers.create(new.model_dump(), keep))

    @routes.get("/<customer_id>")
    def get_customer(customer_id: str) -> Response:
        key = parsing.identifier(customer_id, BIGINT)
        return tagged(jsonify(dict(customers.get(key))))

    @routes.put("/<customer_id>")
    def change_customer(customer_id: str) -> Response:
        key = parsing.identifier(customer_id, BIGINT)
        change = parsing.body(CustomerChange).given
        return tagged(jsonify(dict(customers.change(key, change, etag.check()))))

    @routes.delete("/<customer_id>")
    def delete_customer(customer_id: str) -> Response:
        key = parsing.identifier(customer_id, BIGINT)
        return jsonify(dict(customers.remove(key, etag.check())))

    return routes


def _created(name: str, customer: Mapping[str, Any]) -> Response:
    return created(jsonify(dict(customer)), f"/api/{name}/{customer['id']}")
