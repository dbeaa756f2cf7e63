"""The routes that resources have in common: list, create, read, change and delete."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Blueprint, Response, jsonify

from chassis.http import etag, idempotency
from chassis.http import request as parsing
from chassis.http.etag import created, tagged
from chassis.http.paging import Row, page
from chassis.http.request import BIGINT
from chassis.schema.fields import Change, Schema
from chassis.schema.paging import Page
from chassis.storage.database import Database


class Operations(Protocol):
    """What a domain does with its resources; its changes run in the caller's transaction.

    Each function takes a connection first. `create` stores the answer to the request by its last
    argument before it announces its event; `change` and `remove` take a check of the locked row.
    """

    @property
    def find(self) -> Callable[..., Sequence[Row]]: ...
    @property
    def get(self) -> Callable[..., Row]: ...
    @property
    def create(self) -> Callable[..., Row]: ...
    @property
    def change(self) -> Callable[..., Row]: ...
    @property
    def remove(self) -> Callable[..., Row]: ...


@dataclass(frozen=True)
class Requests:
    """What requests look like.

    Attributes:
        row: what one resource is, such as `movie`.
        query: the criteria of a list.
        new: of POST.
        change: of PUT; a member that is left out stays.
        required: returns why a change needs If-Match, None if it does not.
    """

    row: str
    query: type[Page]
    new: type[Schema]
    change: type[Change]
    required: Callable[[Mapping[str, Any]], str | None] = lambda change: None


def resource_routes(
    name: str, database: Database, operations: Operations, requests: Requests
) -> Blueprint:
    """Return the routes of resources with numbers as ids, under `/api/<name>`."""
    routes = Blueprint(name, __name__, url_prefix=f"/api/{name}")
    one = f"/<{requests.row}_id>"

    @routes.get("")
    def list_all() -> Response:
        query = parsing.query(requests.query)
        criteria = query.model_dump() | {"limit": query.limit + 1}
        with database.autocommit() as connection:
            found = operations.find(connection, **criteria)
        return tagged(page(found, query.limit))

    @routes.post("")
    def create() -> Response:
        new = parsing.body(requests.new).model_dump()
        with database.transaction() as connection:

            def store_answer(row: Row) -> None:
                idempotency.store_answer(connection, answer(row))

            row = operations.create(connection, new, store_answer)
        return answer(row)

    def answer(row: Row) -> Response:
        return created(jsonify(row), f"/api/{name}/{row['id']}")

    @routes.get(one)
    def get(**path: str) -> Response:
        key = _key(path)
        with database.autocommit() as connection:
            return tagged(jsonify(operations.get(connection, key)))

    @routes.put(one)
    def change(**path: str) -> Response:
        key = _key(path)
        change = parsing.body(requests.change).given
        check = etag.check(required=requests.required(change))
        with database.transaction() as connection:
            row = operations.change(connection, key, change, check)
        return tagged(jsonify(row))

    @routes.delete(one)
    def remove(**path: str) -> Response:
        key = _key(path)
        check = etag.check()
        with database.transaction() as connection:
            row = operations.remove(connection, key, check)
        return jsonify(row)

    return routes


def _key(path: Mapping[str, str]) -> int:
    [id] = path.values()
    return parsing.identifier(id, BIGINT)
