"""`/api/orders`, and `/api/commandes`, its other name."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import DBAPIError
from werkzeug.test import TestResponse

from chassis import VERSION
from chassis.database import Database
from orders import finding
from orders.finding import FoundOrder
from orders.models import Order
from orders.moves import Cause
from orders.orders import Orders
from orders.states import STATUSES
from tests.service.answers import JSON, NO_IDS, NO_JSON, content, fields, problem

ORDERS, COMMANDES = "/api/orders", "/api/commandes"
BOTH = pytest.mark.parametrize("path", [ORDERS, COMMANDES])
BARE: dict[str, Any] = {"order_id": "CMD001", "customer_id": "CLIENT123", "total_amount": 150.5}
LINES: list[dict[str, Any]] = [
    {"product_id": 1, "name": "The Matrix, DVD", "quantity": 2, "unit_price": Decimal("9.99")},
    {"product_id": 4, "name": "Tron, Blu-ray", "quantity": 1, "unit_price": Decimal("20.00")},
]
FIELDS = {
    *("id", "order_id", "customer_id", "status", "total_amount"),
    *("created_at", "updated_at", "reason", "items"),
}
ALLOWED = {
    "pending": {"processing", "cancelled"},
    "processing": {"completed", "cancelled"},
    "completed": set[str](),
    "cancelled": set[str](),
}
TESTS = Cause("tests", "api", None)
START = datetime(2024, 1, 2, tzinfo=timezone.utc)
MANY = """
    INSERT INTO orders (order_id, customer_id, total_amount, status, created_at)
    SELECT n::text, (n % 500)::text, 1,
        CASE WHEN n % 1000 = 0 THEN 'cancelled' ELSE 'completed' END,
        timestamptz '2024-01-01T00:00:00Z' + n * interval '1 minute'
    FROM generate_series(1, 20000) n
"""
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


def create(orders: FlaskClient, **given: object) -> dict[str, Any]:
    """Create a bare order."""
    values = {"customer_id": "CLIENT123", "total_amount": 10, **given}
    response = orders.post(ORDERS, json=values)
    assert response.status_code == 201, response.text
    order: dict[str, Any] = content(response)
    return order


def create_with_items(database: Database, status: str = "pending", **given: object) -> FoundOrder:
    """Store an order with items, as checkout does."""
    amount = sum(line["quantity"] * line["unit_price"] for line in LINES)
    values = {"order_id": None, "customer_id": "1", "total_amount": amount, "status": status}
    return Orders(database).create({**values, **given}, LINES, TESTS)


def make(orders: FlaskClient, database: Database, status: str, has_items: bool) -> int:
    """Make an order of either kind in a state; return its id."""
    if has_items:
        return int(create_with_items(database, status)["id"])
    return int(create(orders, status=status)["id"])


def moment(written: str) -> datetime:
    """The time that RFC 3339 writes like this (Python 3.10 does not read its Z)."""
    return datetime.fromisoformat(written.replace("Z", "+00:00"))


def names(response: TestResponse) -> list[str]:
    """The order_ids in a list."""
    assert response.status_code == 200, response.text
    return [order["order_id"] for order in content(response)]


def write(orders: FlaskClient, method: str, data: bytes, kind: str = JSON) -> TestResponse:
    """Create an order with `data`, change one that is there, or move it."""
    if method == "POST":
        return orders.post(ORDERS, data=data, content_type=kind)
    below = "/status" if method == "MOVE" else ""
    path = f"{ORDERS}/{create(orders)['id']}{below}"
    return orders.put(path, data=data, content_type=kind)


def announced(database: Database) -> list[dict[str, Any]]:
    """The events in the outbox."""
    with database.read() as connection:
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
    with database.read() as connection:
        rows = connection.execute(text("SELECT * FROM orders ORDER BY id")).mappings()
        return [dict(row) for row in rows]


# making orders


@BOTH
def test_creating_answers_with_the_order_and_its_address(orders: FlaskClient, path: str) -> None:
    before = datetime.now(timezone.utc)
    response = orders.post(path, json={**BARE, "status": "pending"})
    assert (response.status_code, response.content_type) == (201, JSON)
    assert response.headers["Location"] == f"{path}/1"
    order = content(response)
    assert set(order) == FIELDS
    times = [moment(order[name]) for name in ("created_at", "updated_at")]
    assert before - timedelta(seconds=1) <= times[0] <= times[1]
    expected = {"id": 1, **BARE, "status": "pending", "reason": None, "items": []}
    assert expected.items() <= order.items()
    assert orders.get(response.headers["Location"]).json == order


@pytest.mark.parametrize("status", STATUSES)
def test_a_bare_order_may_begin_in_any_state(orders: FlaskClient, status: str) -> None:
    assert create(orders, status=status)["status"] == status


def test_an_order_without_a_name_gets_a_readable_one_of_its_own(orders: FlaskClient) -> None:
    made = [create(orders)["order_id"], create(orders, order_id=None)["order_id"]]
    assert len(set(made)) == 2
    for order_id in made:
        assert order_id.startswith("ORD-")
        assert len(order_id) == 16
        assert orders.get(f"{ORDERS}/order/{order_id}").status_code == 200


def test_a_name_that_is_taken_is_made_anew(orders: FlaskClient, orders_db: Database) -> None:
    create(orders, order_id="ORD-1")
    candidates = iter(["ORD-1", "ORD-1", *(f"ORD-{n}" for n in range(2, 20))])
    values = {"order_id": None, "customer_id": "1", "total_amount": 5, "status": "pending"}
    made = Orders(orders_db, lambda: next(candidates)).create(values, [], TESTS)
    assert made["order_id"] == "ORD-2"
    assert types(orders_db) == ["order.created"] * 2


def test_what_is_kept_of_an_order_is_what_is_answered(
    orders: FlaskClient, orders_db: Database
) -> None:
    order = create(orders, order_id=" Zoë 😀/1 ", customer_id=42, total_amount="9999999999.99")
    expected = {"order_id": "Zoë 😀/1", "customer_id": "42", "total_amount": 9999999999.99}
    assert expected.items() <= order.items()
    [row] = stored(orders_db)
    assert (row["order_id"], row["customer_id"]) == ("Zoë 😀/1", "42")
    assert row["total_amount"] == Decimal("9999999999.99")


def test_amounts_have_two_decimals_on_the_wire(orders: FlaskClient) -> None:
    response = orders.post(ORDERS, json=BARE)
    assert '"total_amount":150.50,' in response.text


def test_a_name_that_another_order_has_is_a_409_that_names_it(
    orders: FlaskClient, orders_db: Database
) -> None:
    create(orders, **BARE)
    assert "CMD001" in problem(orders.post(COMMANDES, json=BARE), 409)["detail"]
    assert len(stored(orders_db)) == 1
    assert types(orders_db) == ["order.created"]


def test_of_many_that_want_one_name_at_once_one_gets_it(orders: FlaskClient) -> None:
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


def test_all_that_is_wrong_is_said_at_once(orders: FlaskClient) -> None:
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
def test_what_is_wrong_with_items_is_named_by_place(
    orders: FlaskClient, items: object, field: str
) -> None:
    assert fields(orders.post(ORDERS, json={"customer_id": "1", "items": items})) == [field]


@pytest.mark.parametrize("status", ["processing", "completed", "cancelled", "new", "", None, 5])
def test_an_order_with_items_begins_pending(orders: FlaskClient, status: object) -> None:
    items = [{"product_id": 1, "quantity": 1}]
    body = {"customer_id": "1", "items": items, "status": status}
    assert fields(orders.post(ORDERS, json=body)) == ["status"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("body", "field"), INVALID, ids=[f"{body:.40}" for body, _ in INVALID])
def test_what_is_wrong_with_an_order_is_named_by_field(
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


# the same request again


def keyed(orders: FlaskClient, body: object, key: str = "key-1", **headers: str) -> TestResponse:
    """Post an order under a key."""
    return orders.post(ORDERS, json=body, headers={"Idempotency-Key": key, **headers})


def test_a_repeated_key_gets_the_first_answer_and_makes_one_order(
    orders: FlaskClient, orders_db: Database
) -> None:
    body = {"customer_id": "1", "total_amount": 5}
    first, second = keyed(orders, body), keyed(orders, body)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json == first.json
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(stored(orders_db)) == 1
    assert types(orders_db) == ["order.created"]


def test_a_repeated_key_with_another_body_is_a_422(orders: FlaskClient) -> None:
    assert keyed(orders, {"customer_id": "1", "total_amount": 5}).status_code == 201
    assert fields(keyed(orders, {"customer_id": "1", "total_amount": 6})) == ["Idempotency-Key"]


def test_a_key_is_its_callers_alone(orders: FlaskClient, orders_db: Database) -> None:
    body = {"customer_id": "1", "total_amount": 5}
    for caller in ("one", "another"):
        assert keyed(orders, body, **{"X-Caller": caller}).status_code == 201
    assert len(stored(orders_db)) == 2


def test_a_key_whose_first_answer_was_lost_makes_no_second_order(
    orders: FlaskClient, orders_db: Database
) -> None:
    body = {"customer_id": "1", "total_amount": 5}
    first = keyed(orders, body)
    with orders_db.read() as connection:
        connection.execute(text("DELETE FROM idempotency_keys"))
    again = keyed(orders, body)
    assert (again.status_code, again.json) == (201, first.json)
    assert types(orders_db) == ["order.created"]


def test_a_key_that_is_used_again_after_a_day_makes_another_order(
    orders: FlaskClient, orders_db: Database
) -> None:
    body = {"customer_id": "1", "total_amount": 5}
    first = content(keyed(orders, body))
    with orders_db.read() as connection:
        connection.execute(text("UPDATE idempotency_keys SET claimed_at = now() - interval '25 h'"))
        connection.execute(text("UPDATE orders SET created_at = now() - interval '25 h'"))
    assert content(keyed(orders, body))["id"] != first["id"]


def test_one_key_many_times_at_once_makes_one_order(
    orders: FlaskClient, orders_db: Database
) -> None:
    body, start = {"customer_id": "1", "total_amount": 5}, threading.Barrier(6)

    def post(_: int) -> int:
        start.wait(10)
        return keyed(orders.application.test_client(), body).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(post, range(6))) <= {201, 409}
    assert len(stored(orders_db)) == 1


# changing and moving


@BOTH
def test_what_a_change_of_a_bare_order_leaves_out_stays(orders: FlaskClient, path: str) -> None:
    order = create(orders, **BARE)
    for change in (
        {"customer_id": "CLIENT9"},
        {"order_id": "CMD009"},
        {"total_amount": 99.99},
        {"customer_id": "A", "order_id": "B", "total_amount": 1},
    ):
        response = orders.put(f"{path}/1", json=change)
        changed = content(response)
        assert response.status_code == 200
        assert changed == {**order, **change, "updated_at": changed["updated_at"]}
        assert changed["updated_at"] > order["updated_at"]
        order = changed
    assert orders.get(f"{path}/1").json == order


def test_a_change_to_a_taken_name_is_a_409_and_changes_nothing(orders: FlaskClient) -> None:
    create(orders, order_id="A")
    other = create(orders, order_id="B")
    problem(orders.put(f"{ORDERS}/{other['id']}", json={"order_id": "A", "customer_id": "9"}), 409)
    assert orders.get(f"{ORDERS}/{other['id']}").json == other
    assert orders.put(f"{ORDERS}/{other['id']}", json={"order_id": "B"}).status_code == 200


def test_two_orders_that_want_each_others_name_at_once_never_get_a_500(
    orders: FlaskClient,
) -> None:
    keys = [create(orders, order_id=name)["id"] for name in ("A", "B")]
    start = threading.Barrier(2)

    def change(number: int) -> int:
        start.wait(10)
        body = {"order_id": "BA"[number]}
        client = orders.application.test_client()
        return client.put(f"{ORDERS}/{keys[number]}", json=body).status_code

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(change, range(2))) == [409, 409]


@pytest.mark.parametrize("status", ["processing", "completed", "cancelled"])
def test_an_amount_changes_only_while_its_bare_order_is_pending(
    orders: FlaskClient, status: str
) -> None:
    order = create(orders, status=status, total_amount=10)
    path = f"{ORDERS}/{order['id']}"
    assert status in problem(orders.put(path, json={"total_amount": 11}), 409)["detail"]
    assert orders.get(path).json == order
    assert orders.put(path, json={"customer_id": "9", "total_amount": "10.00"}).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"total_amount": 1},
        {"customer_id": "9"},
        {"order_id": "X"},
        {"items": [{"product_id": 1, "quantity": 1}]},
    ],
)
def test_an_order_with_items_never_changes(
    orders: FlaskClient, orders_db: Database, change: dict[str, Any]
) -> None:
    path = f"{ORDERS}/{create_with_items(orders_db)['id']}"
    before = orders.get(path).json
    problem(orders.put(path, json=change), 409)
    assert orders.get(path).json == before
    assert types(orders_db) == ["order.created"]


def test_a_bare_order_never_gets_items(orders: FlaskClient) -> None:
    create(orders)
    problem(orders.put(f"{ORDERS}/1", json={"items": [{"product_id": 1, "quantity": 1}]}), 409)


def test_a_change_of_nothing_is_refused(orders: FlaskClient) -> None:
    assert fields(write(orders, "PUT", b"{}")) == [""]


@BOTH
@pytest.mark.parametrize("given", ["processing", {"status": "processing"}])
def test_a_state_is_given_alone_or_in_an_object(
    orders: FlaskClient, path: str, given: object
) -> None:
    create(orders)
    response = orders.put(f"{path}/1/status", json=given)
    assert (response.status_code, content(response)["status"]) == (200, "processing")
    assert orders.get(f"{path}/1").json == response.json


@pytest.mark.parametrize(
    "given",
    [
        *('"new"', '"Pending"', '""', "5", "true", "null", "[]", '["processing"]', "{}"),
        *('{"status": null}', '{"status": "new"}', '{"status": 5}', '{"status": ["pending"]}'),
    ],
)
def test_a_state_that_is_none_is_named(orders: FlaskClient, given: str) -> None:
    assert fields(write(orders, "MOVE", given.encode())) == ["status"]


@pytest.mark.parametrize("has_items", [False, True])
@pytest.mark.parametrize("after", STATUSES)
@pytest.mark.parametrize("before", STATUSES)
def test_only_the_moves_there_are_can_be_made_by_hand(
    orders: FlaskClient, orders_db: Database, before: str, after: str, has_items: bool
) -> None:
    key = make(orders, orders_db, before, has_items)
    allowed = ALLOWED[before] & {"cancelled"} if has_items else ALLOWED[before]
    response = orders.put(f"{ORDERS}/{key}/status", json=after)
    now = content(orders.get(f"{ORDERS}/{key}"))
    if after in allowed or after == before:
        assert (response.status_code, response.json) == (200, now)
        assert now["status"] == after
    else:
        detail = problem(response, 409)["detail"]
        assert detail.endswith(f"allowed: {', '.join(sorted(allowed, reverse=True)) or 'nothing'}.")
        assert now["status"] == before
    changed = after in allowed
    assert len(types(orders_db)) == 1 + changed
    assert len(content(orders.get(f"{ORDERS}/{key}/history"))) == 1 + changed


def test_of_two_that_move_an_order_at_once_one_does(
    orders: FlaskClient, orders_db: Database
) -> None:
    for key in range(1, 11):
        create(orders)
        start = threading.Barrier(2)

        def move(status: str, key: int = key, start: threading.Barrier = start) -> int:
            start.wait(10)
            client = orders.application.test_client()
            return client.put(f"{ORDERS}/{key}/status", json=status).status_code

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(move, ["processing", "cancelled"]))
        changes = content(orders.get(f"{ORDERS}/{key}/history"))
        assert answers in ([200, 200], [409, 200])
        assert [change["to_status"] for change in changes[1:]] in (
            ["processing", "cancelled"],
            ["cancelled"],
        )


@BOTH
@pytest.mark.parametrize("status", STATUSES)
def test_a_bare_order_can_be_deleted_in_any_state(
    orders: FlaskClient, orders_db: Database, path: str, status: str
) -> None:
    order = create(orders, status=status)
    response = orders.delete(f"{path}/1")
    assert (response.status_code, response.json) == (200, order)
    problem(orders.get(f"{path}/1"), 404)
    problem(orders.delete(f"{path}/1"), 404)
    problem(orders.get(f"{path}/1/history"), 404)
    assert types(orders_db) == ["order.created", "order.deleted"]


@pytest.mark.parametrize("status", STATUSES)
def test_an_order_with_items_can_be_deleted_in_a_final_state_alone(
    orders: FlaskClient, orders_db: Database, status: str
) -> None:
    path = f"{ORDERS}/{create_with_items(orders_db, status)['id']}"
    before = orders.get(path).json
    response = orders.delete(path)
    if status in ("completed", "cancelled"):
        assert (response.status_code, response.json) == (200, before)
        assert announced(orders_db)[-1]["type"] == "order.deleted"
        assert len(announced(orders_db)[-1]["data"]["lines"]) == 2
    else:
        assert status in problem(response, 409)["detail"]
        assert orders.get(path).json == before


# what is told


def test_each_change_is_announced_with_all_that_a_consumer_needs(
    orders: FlaskClient, orders_db: Database
) -> None:
    with orders_db.read() as connection:
        connection.execute(
            text(
                "INSERT INTO customers (id, name, email, noted_at) VALUES (7, 'B', 'b@k.fr', now())"
            )
        )
    create(orders, order_id="A", customer_id="7")
    orders.put(f"{ORDERS}/1", json={"total_amount": 12})
    for status in ("processing", "completed"):
        orders.put(f"{ORDERS}/1/status", json=status)
    orders.delete(f"{ORDERS}/1")
    events = announced(orders_db)
    assert [told["type"].removeprefix("order.") for told in events] == [
        *("created", "updated", "updated", "completed", "deleted")
    ]
    assert [told["data"]["status"] for told in events] == [
        *("pending", "pending", "processing", "completed", "completed")
    ]
    uid = events[0]["data"]["uid"]
    for told in events:
        assert told["source"] == "orders-api"
        assert moment(told["data"].pop("timestamp")).tzinfo
        expected = {
            **{"uid": uid, "id": 1, "order_id": "A", "customer_id": "7", "email": "b@k.fr"},
            **{"status": told["data"]["status"], "total": told["data"]["total"]},
            **{"lines": [], "reason": None},
        }
        assert told["data"] == expected
    assert [told["data"]["total"] for told in events] == [10, 12, 12, 12, 12]


def test_an_order_with_items_is_announced_with_its_lines(orders_db: Database) -> None:
    order = create_with_items(orders_db)
    [told] = announced(orders_db)
    assert told["data"]["uid"] == str(order["uid"])
    assert (told["data"]["email"], told["data"]["total"]) == (None, 39.98)
    assert told["data"]["lines"] == [
        {"product_id": 1, "name": "The Matrix, DVD", "quantity": 2, "unit_price": 9.99},
        {"product_id": 4, "name": "Tron, Blu-ray", "quantity": 1, "unit_price": 20.0},
    ]


def test_an_order_that_is_cancelled_by_hand_says_so(
    orders: FlaskClient, orders_db: Database
) -> None:
    key = create_with_items(orders_db)["id"]
    assert content(orders.put(f"{ORDERS}/{key}/status", json="cancelled"))["reason"]
    told = announced(orders_db)[-1]
    assert (told["type"], told["data"]["reason"]) == ("order.cancelled", "cancelled on request")


def test_what_fails_is_not_announced(orders: FlaskClient, orders_db: Database) -> None:
    create(orders, order_id="A", status="completed")
    orders.post(ORDERS, json={**BARE, "order_id": "A"})
    orders.put(f"{ORDERS}/1/status", json="pending")
    orders.put(f"{ORDERS}/1", json={"total_amount": 1})
    orders.put(f"{ORDERS}/2", json={"customer_id": "1"})
    orders.delete(f"{ORDERS}/2")
    assert types(orders_db) == ["order.created"]


@BOTH
def test_the_history_has_each_change_with_its_time_cause_and_message_id(
    orders: FlaskClient, path: str
) -> None:
    orders.post(ORDERS, json=BARE, headers={"X-Request-ID": "request-1"})
    for number, status in enumerate(("processing", "completed"), start=2):
        headers = {"X-Request-ID": f"request-{number}"}
        orders.put(f"{ORDERS}/1/status", json=status, headers=headers)
    changes = content(orders.get(f"{path}/1/history"))
    times = [moment(change.pop("at")) for change in changes]
    assert times == sorted(times)
    states = [None, "pending", "processing", "completed"]
    assert changes == [
        {
            **{"from_status": states[n - 1], "to_status": states[n]},
            **{"cause": "api", "message_id": f"request-{n}"},
        }
        for n in range(1, 4)
    ]


# finding orders


@BOTH
def test_orders_are_listed_the_newest_first_with_their_items(
    orders: FlaskClient, orders_db: Database, path: str
) -> None:
    assert orders.get(path).json == []
    made = [content(orders.get(f"{ORDERS}/{make(orders, orders_db, 'pending', n == 1)}"))
            for n in range(3)]  # fmt: skip
    assert orders.get(path).json == made[::-1]
    assert [len(order["items"]) for order in made] == [0, 2, 0]
    assert made[1]["items"][0]["unit_price"] == 9.99


def test_items_cost_no_query_for_each_order(orders_db: Database) -> None:
    for _ in range(5):
        create_with_items(orders_db)
    sent: list[str] = []
    with orders_db.read() as connection:

        def note(*arguments: Any) -> None:
            sent.append(arguments[2])

        event.listen(connection.engine, "before_cursor_execute", note)
        found = finding.find(connection, limit=10)
        event.remove(connection.engine, "before_cursor_execute", note)
    assert [len(order["items"]) for order in found] == [2] * 5
    assert len(sent) == 1


@BOTH
@pytest.mark.parametrize(
    ("below", "query"),
    [
        ("", {}),
        ("", {"customer_id": "Zoë & co/1"}),
        ("", {"status": "pending", "from": "2024-01-01T00:00:00Z"}),
        ("/status/pending", {}),
        ("/status/pending", {"customer_id": "Zoë & co/1"}),
        (f"/customer/{quote('Zoë & co/1')}", {}),
        (f"/customer/{quote('Zoë & co/1')}", {"status": "pending", "to": "2200-01-01T00:00:00Z"}),
    ],
)
def test_a_list_can_be_walked_to_its_end_over_the_links(
    orders: FlaskClient, orders_db: Database, path: str, below: str, query: dict[str, str]
) -> None:
    rows = [
        {"order_id": f"{n}", "customer_id": "Zoë & co/1", "total_amount": 1} for n in range(1, 26)
    ]
    with orders_db.read() as connection:
        connection.execute(insert(Order), rows)
    found, sizes = [], []
    target = f"{path}{below}?{urlencode({**query, 'limit': 10})}"
    while target:
        assert target.startswith(f"{path}{below}?")
        response = orders.get(target)
        found += names(response)
        sizes.append(len(content(response)))
        target = response.headers.get("Link", "<>").partition(">")[0].removeprefix("<")
    assert found == [f"{n}" for n in range(25, 0, -1)]
    assert sizes == [10, 10, 5]


def test_a_link_takes_any_customer_id(orders: FlaskClient) -> None:
    customer_id = "日本; rel=x>"
    for _ in range(2):
        create(orders, customer_id=customer_id)
    response = orders.get(f"{ORDERS}/customer/{quote(customer_id)}?limit=1")
    target = response.headers["Link"].partition(">")[0].removeprefix("<")
    assert len(content(orders.get(target))) == 1


def test_a_page_has_a_hundred_orders_unless_told_otherwise(
    orders: FlaskClient, orders_db: Database
) -> None:
    rows = [{"order_id": f"{n}", "customer_id": "1", "total_amount": 1} for n in range(1001)]
    with orders_db.read() as connection:
        connection.execute(insert(Order), rows)
    assert len(content(orders.get(ORDERS))) == 100
    assert len(content(orders.get(f"{ORDERS}?limit=1000"))) == 1000


@pytest.fixture
def assorted(orders: FlaskClient, orders_db: Database) -> FlaskClient:
    """A client of an API that has four orders of all sorts, a day apart from each other."""
    for order_id, customer_id, status in (
        ("A", "1", "pending"),
        ("B", "2", "pending"),
        ("C", "1", "completed"),
        ("D", "1", "pending"),
    ):
        create(orders, order_id=order_id, customer_id=customer_id, status=status)
    with orders_db.read() as connection:
        days = "timestamptz '2024-01-01T00:00:00Z' + id * interval '1 day'"
        connection.execute(text(f"UPDATE orders SET created_at = {days}"))
    return orders


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("?status=pending", "DBA"),
        ("?customer_id=1", "DCA"),
        ("?customer_id=1&status=pending", "DA"),
        ("?order_id=C", "C"),
        ("?order_id=C&status=pending", ""),
        ("?customer_id=none", ""),
        ("?from=2024-01-03T00:00:00Z", "DCB"),
        ("?to=2024-01-03T00:00:00Z", "A"),
        ("?from=2024-01-03T00:00:00Z&to=2024-01-05T00:00:00Z", "CB"),
        ("?from=2024-01-03T02:00:00%2B02:00&status=pending", "DB"),
        ("?after=3", "BA"),
        ("?after=3&status=pending&limit=1", "B"),
        ("/status/pending", "DBA"),
        ("/status/cancelled", ""),
        ("/status/pending?customer_id=1", "DA"),
        ("/customer/1", "DCA"),
        ("/customer/1?status=pending&to=2024-01-03T00:00:00Z", "A"),
        ("/customer/nobody", ""),
    ],
)
def test_filters_choose_and_can_be_combined(
    assorted: FlaskClient, target: str, expected: str
) -> None:
    assert "".join(names(assorted.get(f"{ORDERS}{target}"))) == expected


@pytest.mark.parametrize(
    "order_id", ["CMD001", "A B", "2024/09/001", "Zoë", "stats", "50%", "1", "a\nb/c\nd"]
)
def test_an_order_is_found_by_its_name(orders: FlaskClient, order_id: str) -> None:
    order = create(orders, order_id=order_id)
    create(orders, order_id="another")
    for slash in ("", "/"):
        found = orders.get(f"{COMMANDES}/order/{quote(order_id)}{slash}")
        assert (found.status_code, found.json) == (200, order)
    assert "nobody" in problem(orders.get(f"{ORDERS}/order/nobody"), 404)["detail"]


def test_stats_count_and_sum_by_state_and_in_all(assorted: FlaskClient) -> None:
    response = assorted.get(f"{ORDERS}/stats")
    assert '"amount":0.00' in response.text
    assert content(response) == {
        "by_status": {
            "pending": {"count": 3, "amount": 30},
            "processing": {"count": 0, "amount": 0},
            "completed": {"count": 1, "amount": 10},
            "cancelled": {"count": 0, "amount": 0},
        },
        "total": {"count": 4, "amount": 40},
    }


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?after=abc", "after"),
        ("?status=new", "status"),
        ("?status=", "status"),
        ("?customer_id=", "customer_id"),
        (f"?customer_id={'x' * 51}", "customer_id"),
        ("?order_id=%00", "order_id"),
        ("?from=yesterday", "from"),
        ("?to=2024-09-30", "to"),
        ("?since=2024-09-30T00:00:00Z", "since"),
        ("?status=pending&status=completed", "status"),
        ("?total_amount=5", "total_amount"),
        ("/status/new", "status"),
        ("/status/pending?status=pending", "status"),
        ("/customer/1?customer_id=1", "customer_id"),
        (f"/customer/{'x' * 51}", "customer_id"),
        (f"/order/{'x' * 51}", "order_id"),
    ],
)
def test_what_is_wrong_with_a_search_is_named(orders: FlaskClient, target: str, field: str) -> None:
    assert fields(orders.get(f"{ORDERS}{target}")) == [field]


# paths


@pytest.mark.parametrize("below", ["", "/history", "/status"])
@pytest.mark.parametrize("key", NO_IDS)
def test_an_id_that_is_no_positive_64_bit_integer_is_refused(
    orders: FlaskClient, below: str, key: str
) -> None:
    method = "PUT" if below == "/status" else "GET"
    response = orders.open(f"{ORDERS}/{NO_IDS[key]}{below}", method=method, json="pending")
    assert fields(response) == ["id"]


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("GET", "", None),
        ("GET", "/history", None),
        ("PUT", "", {"customer_id": "1"}),
        ("PUT", "/status", "cancelled"),
        ("DELETE", "", None),
    ],
)
@pytest.mark.parametrize("key", [1, 2**31, 2**63 - 1])
def test_an_order_that_is_not_there_is_a_404(
    orders: FlaskClient, method: str, below: str, body: object, key: int
) -> None:
    response = orders.open(f"{ORDERS}/{key}{below}", method=method, json=body)
    assert str(key) in problem(response, 404)["detail"]


@BOTH
def test_every_route_answers_with_a_trailing_slash_too(orders: FlaskClient, path: str) -> None:
    created = orders.post(f"{path}/", json=BARE)
    assert (created.status_code, created.headers["Location"]) == (201, f"{path}/1")
    for below in ("/", "/status/pending/", "/customer/CLIENT123/"):
        assert orders.get(f"{path}{below}").json == [created.json]
    for below in ("/1/", "/order/CMD001/"):
        assert orders.get(f"{path}{below}").json == created.json
    for below in ("/stats/", "/1/history/"):
        assert orders.get(f"{path}{below}").status_code == 200
    assert orders.put(f"{path}/1/", json={"customer_id": "2"}).status_code == 200
    moved = orders.put(f"{path}/1/status/", json="cancelled")
    assert orders.delete(f"{path}/1/").json == moved.json


@BOTH
@pytest.mark.parametrize(
    ("below", "method", "allowed"),
    [
        ("", "PUT", "GET HEAD OPTIONS POST"),
        ("/1", "POST", "GET HEAD OPTIONS PUT DELETE"),
        ("/1/status", "GET", "PUT OPTIONS"),
        ("/1/history", "DELETE", "GET HEAD OPTIONS"),
        ("/stats", "PUT", "GET HEAD OPTIONS"),
        ("/stats/", "DELETE", "GET HEAD OPTIONS"),
    ],
)
def test_a_method_that_does_not_exist_is_a_405_with_allow(
    orders: FlaskClient, path: str, below: str, method: str, allowed: str
) -> None:
    response = orders.open(f"{path}{below}", method=method, json=BARE)
    problem(response, 405)
    assert set(response.headers["Allow"].split(", ")) == set(allowed.split())


def test_options_name_the_methods_of_the_figures_alone(orders: FlaskClient) -> None:
    allowed = orders.options(f"{ORDERS}/stats").headers["Allow"]
    assert set(allowed.split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_orders_of_a_customer_with_a_line_feed_in_the_id_are_found(orders: FlaskClient) -> None:
    order = create(orders, customer_id="a\nb")
    assert orders.get(f"{ORDERS}/customer/{quote(order['customer_id'])}").json == [order]


def test_the_root_says_what_this_is_and_how_it_is(orders: FlaskClient) -> None:
    response = orders.get("/")
    assert response.status_code == 200
    about = content(response)
    assert (about["name"], about["version"]) == ("orders-api", VERSION)
    assert about["health"]["status"] == "ready"
    assert about["health"]["checks"]["orders_db"]["status"] == "up"


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
def test_the_schema_itself_refuses_an_order_that_is_none(
    orders_db: Database, values: str, what: str
) -> None:
    columns = "(order_id, customer_id, total_amount, status)"
    with orders_db.read() as connection, pytest.raises(DBAPIError):
        connection.execute(text(f"INSERT INTO orders {columns} VALUES {values}"))


def test_a_uid_is_made_by_the_database(orders: FlaskClient, orders_db: Database) -> None:
    for _ in range(2):
        create(orders)
    with orders_db.read() as connection:
        uids = connection.execute(select(Order.uid)).scalars().all()
    assert len(set(uids)) == 2
    assert all(uid.version == 4 for uid in uids)


@pytest.mark.parametrize(
    ("search", "index"),
    [
        ({"status": "cancelled"}, "orders_status"),
        ({"customer_id": "7"}, "orders_customer"),
        ({"since": START, "until": START + timedelta(hours=1)}, "orders_created"),
        ({"order_id": "77"}, "orders_order_id_unique"),
        ({}, "orders_pkey"),
    ],
)
def test_a_search_among_many_uses_its_index(
    orders_db: Database, search: dict[str, Any], index: str
) -> None:
    sent: list[tuple[str, Any]] = []

    def keep(*arguments: Any) -> None:
        sent.append((arguments[2], arguments[3]))

    with orders_db.read() as connection:
        connection.execute(text(MANY))
        connection.execute(text("VACUUM ANALYZE orders"))
        event.listen(connection.engine, "before_cursor_execute", keep)
        assert finding.find(connection, **search, limit=11)
        event.remove(connection.engine, "before_cursor_execute", keep)
        [(statement, parameters)] = sent
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
        assert f"using {index} " in "".join(plan) or f"on {index} " in "".join(plan)
