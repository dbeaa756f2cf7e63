"""The same request for an order again: a key makes one order."""

import threading
from concurrent.futures import ThreadPoolExecutor

from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from chassis.storage.database import Database
from tests.support.answers import content, fields
from tests.support.orders_api import COMMANDES, ORDERS, stored, types


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


def test_the_other_name_of_the_route_makes_no_second_order(
    orders: FlaskClient, orders_db: Database
) -> None:
    body = {"customer_id": "1", "total_amount": 5}
    first = keyed(orders, body)
    second = orders.post(COMMANDES, json=body, headers={"Idempotency-Key": "key-1"})
    assert (second.status_code, second.json) == (201, first.json)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(stored(orders_db)) == 1


def test_callers_without_a_token_are_distinguished_by_their_addresses(
    orders: FlaskClient, orders_db: Database
) -> None:
    body = {"customer_id": "1", "total_amount": 5}
    for way in ("192.0.2.1", "192.0.2.2, 192.0.2.9", "192.0.2.2"):
        for caller in ("anonymous", "reader"):
            headers = {"X-Forwarded-For": way, "X-Caller": caller}
            assert keyed(orders, body, **headers).status_code == 201
    assert len(stored(orders_db)) == 3


def test_a_refusal_for_its_headers_is_not_replayed(orders: FlaskClient) -> None:
    headers = {"Idempotency-Key": "key-1"}
    body = b'{"customer_id": "1", "total_amount": 5}'
    wrong = orders.post(ORDERS, data=body, content_type="text/plain", headers=headers)
    right = orders.post(ORDERS, data=body, content_type="application/json", headers=headers)
    assert (wrong.status_code, right.status_code) == (415, 201)


def test_a_key_whose_first_answer_was_lost_makes_no_second_order(
    orders: FlaskClient, orders_db: Database
) -> None:
    body = {"customer_id": "1", "total_amount": 5}
    first = keyed(orders, body)
    with orders_db.autocommit() as connection:
        connection.execute(text("DELETE FROM idempotency_keys"))
    again = keyed(orders, body)
    assert (again.status_code, again.json) == (201, first.json)
    assert types(orders_db) == ["order.created"]


def test_a_key_that_is_used_again_after_a_day_makes_another_order(
    orders: FlaskClient, orders_db: Database
) -> None:
    body = {"customer_id": "1", "total_amount": 5}
    first = content(keyed(orders, body))
    with orders_db.autocommit() as connection:
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
