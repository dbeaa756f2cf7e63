"""Changing, moving and deleting orders."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.storage.database import Database
from orders.allowed_transitions import STATUSES
from tests.support.answers import content, fields, problem
from tests.support.orders_api import (
    BARE,
    BOTH,
    ORDERS,
    announced,
    create,
    create_with_items,
    make,
    types,
    write,
)

ALLOWED = {
    "pending": {"processing", "cancelled"},
    "processing": {"completed", "cancelled"},
    "completed": set[str](),
    "cancelled": set[str](),
}


@BOTH
def test_fields_missing_from_a_change_of_a_bare_order_stay(orders: FlaskClient, path: str) -> None:
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


def test_two_orders_that_swap_their_order_ids_never_get_a_500(
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
def test_an_invalid_state_is_named(orders: FlaskClient, given: str) -> None:
    assert fields(write(orders, "MOVE", given.encode())) == ["status"]


@pytest.mark.parametrize("has_items", [False, True])
@pytest.mark.parametrize("after", STATUSES)
@pytest.mark.parametrize("before", STATUSES)
def test_only_allowed_transitions_can_be_made_by_hand(
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


def test_one_of_two_concurrent_moves_of_an_order_succeeds(
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
