"""Making orders."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from chassis.storage.database import Database
from orders import models
from orders.allowed_transitions import STATUSES
from orders.orders import create as create_order
from tests.support.answers import JSON, NO_JSON, fields, problem
from tests.support.orders_api import (
    BARE,
    BOTH,
    COMMANDES,
    ORDERS,
    TESTS,
    announced,
    create,
    moment,
    shown,
    stored,
    types,
    write,
)

FIELDS = {
    *("id", "order_id", "customer_id", "status", "total_amount"),
    *("created_at", "updated_at", "reason", "items"),
}
INVALID = [
    ('{"order_id": ""}', "order_id"),
    ('{"order_id": " \\t"}', "order_id"),
    ('{"order_id": true}', "order_id"),
    ('{"order_id": 1.5}', "order_id"),
    ('{"order_id": ["A"]}', "order_id"),
    ('{"order_id": "a\\u0000b"}', "order_id"),
    ('{"order_id": "\\ud800"}', "order_id"),
    (json.dumps({"order_id": "x" * 51}), "order_id"),
    ('{"customer_id": ""}', "customer_id"),
    ('{"customer_id": null}', "customer_id"),
    ('{"customer_id": false}', "customer_id"),
    ('{"customer_id": {"id": 1}}', "customer_id"),
    ('{"customer_id": "a\\u0000b"}', "customer_id"),
    ('{"customer_id": "\\udfff"}', "customer_id"),
    (json.dumps({"customer_id": "x" * 51}), "customer_id"),
    ('{"total_amount": null}', "total_amount"),
    ('{"total_amount": true}', "total_amount"),
    ('{"total_amount": "x"}', "total_amount"),
    ('{"total_amount": -0.01}', "total_amount"),
    ('{"total_amount": 1.555}', "total_amount"),
    ('{"total_amount": 10000000000}', "total_amount"),
    ('{"total_amount": 1E+1000000}', "total_amount"),
    ('{"total_amount": [1]}', "total_amount"),
    ('{"id": 5}', "id"),
    ('{"uid": "5"}', "uid"),
    ('{"reason": "none"}', "reason"),
    ('{"created_at": "2024-09-30T18:07:44Z"}', "created_at"),
    ('{"Order_id": "A"}', "Order_id"),
]


@BOTH
def test_creating_answers_with_the_order_and_its_address(orders: FlaskClient, path: str) -> None:
    before = datetime.now(timezone.utc)
    response = orders.post(path, json={**BARE, "status": "pending"})
    assert (response.status_code, response.content_type) == (201, JSON)
    assert response.headers["Location"] == f"{path}/1"
    order = shown(response)
    assert set(order) == FIELDS
    times = [moment(order[name]) for name in ("created_at", "updated_at")]
    assert before - timedelta(seconds=1) <= times[0] <= times[1]
    expected = {"id": 1, **BARE, "status": "pending", "reason": None, "items": []}
    assert expected.items() <= order.items()
    assert orders.get(response.headers["Location"]).json == order


@pytest.mark.parametrize("status", STATUSES)
def test_a_bare_order_may_start_in_any_state(orders: FlaskClient, status: str) -> None:
    assert create(orders, status=status)["status"] == status


def test_an_order_without_an_order_id_gets_a_readable_one(orders: FlaskClient) -> None:
    made = [create(orders)["order_id"], create(orders, order_id=None)["order_id"]]
    assert len(set(made)) == 2
    for order_id in made:
        assert order_id.startswith("ORD-")
        assert len(order_id) == 16
        assert orders.get(f"{ORDERS}/order/{order_id}").status_code == 200


def test_a_taken_name_is_generated_again(orders: FlaskClient, orders_db: Database) -> None:
    create(orders, order_id="ORD-1")
    candidates = iter(["ORD-1", "ORD-1", *(f"ORD-{n}" for n in range(2, 20))])
    values = {"order_id": None, "customer_id": "1", "total_amount": 5, "status": "pending"}
    with orders_db.transaction() as connection:
        made = create_order(connection, values, [], TESTS, new_order_id=lambda: next(candidates))
    assert made["order_id"] == "ORD-2"
    assert types(orders_db) == ["order.created"] * 2


def test_the_stored_order_is_the_answer(orders: FlaskClient, orders_db: Database) -> None:
    order = create(orders, order_id=" Zoë 😀/1 ", customer_id=42, total_amount="9999999999.99")
    expected = {"order_id": "Zoë 😀/1", "customer_id": "42", "total_amount": 9999999999.99}
    assert expected.items() <= order.items()
    [row] = stored(orders_db)
    assert (row["order_id"], row["customer_id"]) == ("Zoë 😀/1", "42")
    assert row["total_amount"] == Decimal("9999999999.99")


def test_amounts_have_two_decimals_on_the_wire(orders: FlaskClient) -> None:
    response = orders.post(ORDERS, json=BARE)
    assert '"total_amount":150.50,' in response.text


def test_an_order_id_that_another_order_has_is_a_409_that_names_it(
    orders: FlaskClient, orders_db: Database
) -> None:
    create(orders, **BARE)
    assert "CMD001" in problem(orders.post(COMMANDES, json=BARE), 409)["detail"]
    assert len(stored(orders_db)) == 1
    assert types(orders_db) == ["order.created"]


def test_one_of_many_concurrent_creations_gets_the_name(orders: FlaskClient) -> None:
    start = threading.Barrier(6)

    def post(number: int) -> int:
        start.wait(10)
        body = {**BARE, "customer_id": number}
        return orders.application.test_client().post(ORDERS, json=body).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(post, range(6))) == [201, *[409] * 5]


@pytest.mark.parametrize("missing", ["customer_id", "total_amount"])
def test_a_bare_order_needs_customer_and_amount(orders: FlaskClient, missing: str) -> None:
    given = {name: value for name, value in BARE.items() if name != missing}
    assert fields(orders.post(ORDERS, json=given)) == [missing]


def test_all_errors_are_reported_at_once(orders: FlaskClient) -> None:
    response = orders.post(ORDERS, json={"order_id": "", "total_amount": -1, "age": 7})
    assert sorted(fields(response)) == ["age", "customer_id", "order_id", "total_amount"]


@pytest.mark.parametrize(
    ("items", "field"),
    [
        (None, "items"),
        ([], "items"),
        ({}, "items"),
        ("1", "items"),
        ([1], "items.0"),
        ([{"product_id": 1}], "items.0.quantity"),
        ([{"quantity": 1}], "items.0.product_id"),
        (
            [{"product_id": 1, "quantity": 1}, {"product_id": 0, "quantity": 1}],
            "items.1.product_id",
        ),
        ([{"product_id": -1, "quantity": 1}], "items.0.product_id"),
        ([{"product_id": "x", "quantity": 1}], "items.0.product_id"),
        ([{"product_id": 2**63, "quantity": 1}], "items.0.product_id"),
        ([{"product_id": True, "quantity": 1}], "items.0.product_id"),
        ([{"product_id": 1, "quantity": 0}], "items.0.quantity"),
        ([{"product_id": 1, "quantity": -1}], "items.0.quantity"),
        ([{"product_id": 1, "quantity": 1.5}], "items.0.quantity"),
        ([{"product_id": 1, "quantity": True}], "items.0.quantity"),
        ([{"product_id": 1, "quantity": 1_000_001}], "items.0.quantity"),
        ([{"product_id": 1, "quantity": 1, "unit_price": 1}], "items.0.unit_price"),
        ([{"product_id": 1, "quantity": 1_000_000}] * 2, "items"),
        ([{"product_id": n, "quantity": 1} for n in range(1, 102)], "items"),
    ],
)
def test_errors_of_items_are_named_by_place(orders: FlaskClient, items: object, field: str) -> None:
    assert fields(orders.post(ORDERS, json={"customer_id": "1", "items": items})) == [field]


@pytest.mark.parametrize("status", ["processing", "completed", "cancelled", "new", "", None, 5])
def test_an_order_with_items_begins_pending(orders: FlaskClient, status: object) -> None:
    items = [{"product_id": 1, "quantity": 1}]
    body = {"customer_id": "1", "items": items, "status": status}
    assert fields(orders.post(ORDERS, json=body)) == ["status"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("body", "field"), INVALID, ids=[f"{body:.40}" for body, _ in INVALID])
def test_errors_of_an_order_are_named_by_field(
    orders: FlaskClient, orders_db: Database, method: str, body: str, field: str
) -> None:
    given = json.loads(body.encode("utf-8", "ignore"))
    needed = {name: value for name, value in BARE.items() if name not in given}
    filled = json.dumps(needed)[:-1] + f", {body[1:]}"
    data = (body if method == "PUT" else filled).encode()
    assert fields(write(orders, method, data)) == [field]
    assert len(stored(orders_db)) == (method == "PUT")
    assert len(announced(orders_db)) == (method == "PUT")


@pytest.mark.parametrize("method", ["POST", "PUT", "MOVE"])
@pytest.mark.parametrize("body", NO_JSON)
def test_a_body_that_is_not_json_is_a_400(orders: FlaskClient, method: str, body: str) -> None:
    problem(write(orders, method, NO_JSON[body]), 400)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", ["[]", "null", "true", '"CMD001"', "5"])
def test_json_that_is_no_object_is_a_422(orders: FlaskClient, method: str, body: str) -> None:
    assert fields(write(orders, method, body.encode())) == [""]


@pytest.mark.parametrize("method", ["POST", "PUT", "MOVE"])
def test_another_content_type_is_a_415(orders: FlaskClient, method: str) -> None:
    problem(write(orders, method, json.dumps(BARE).encode(), "text/plain"), 415)


@pytest.mark.parametrize("method", ["POST", "PUT", "MOVE"])
def test_a_body_over_one_mebibyte_is_a_413(orders: FlaskClient, method: str) -> None:
    problem(write(orders, method, b'"' + b"x" * 1024 * 1024 + b'"'), 413)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ("('', 'c', 1, 'pending')", "an empty name"),
        ("('o', '', 1, 'pending')", "an empty customer"),
        ("('o', 'c', -1, 'pending')", "a negative amount"),
        ("('o', 'c', 1, 'new')", "a state that is none"),
        ("('o', 'c', 10000000000, 'pending')", "an amount too large"),
    ],
)
def test_the_schema_itself_refuses_an_invalid_order(
    orders_db: Database, values: str, what: str
) -> None:
    columns = "(order_id, customer_id, total_amount, status)"
    with orders_db.autocommit() as connection, pytest.raises(DBAPIError):
        connection.execute(text(f"INSERT INTO orders {columns} VALUES {values}"))


def test_a_uid_is_made_by_the_database(orders: FlaskClient, orders_db: Database) -> None:
    for _ in range(2):
        create(orders)
    with orders_db.autocommit() as connection:
        uids = connection.execute(select(models.orders.c.uid)).scalars().all()
    assert len(set(uids)) == 2
    assert all(uid.version == 4 for uid in uids)
