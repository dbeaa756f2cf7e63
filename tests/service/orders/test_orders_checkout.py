"""Orders with items: prices from inventory, and what happens while inventory is not itself."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Response, request
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from chassis.http import circuit_breaker
from chassis.http import client as service_client
from chassis.storage.database import Database
from orders.app import create_app
from orders.settings import Settings
from tests.support.answers import content, fields, problem
from tests.support.mailing import served
from tests.support.orders_api import announced, shown, stored
from tests.support.shop import Shop
from tools.stack.waiting import wait_until

ORDERS, COMMANDES = "/api/orders", "/api/commandes"
ITEMS: list[dict[str, Any]] = [
    {"product_id": 1, "quantity": 2},
    {"product_id": 4, "quantity": 1},
]


@pytest.fixture
def shop() -> Iterator[Shop]:
    """What answers as inventory does."""
    shop = Shop()
    with shop.opened():
        yield shop


@pytest.fixture
def shopping(shop: Shop, orders_db: Database, orders_unconnected: Settings) -> FlaskClient:
    """A client of an orders-api that asks the shop."""
    return create_app(replace(orders_unconnected, inventory=shop.upstream)).test_client()


def wide(settings: Settings, shop: Shop) -> Settings:
    """Settings by which two requests at once may wait for the shop."""
    server = settings.server.model_copy(update={"threads": 8})
    return replace(settings, inventory=shop.upstream, server=server)


def order(orders: FlaskClient, items: object = ITEMS, **given: object) -> TestResponse:
    """Order products."""
    return orders.post(ORDERS, json={"customer_id": "1", "items": items, **given})


def nothing_is_stored(database: Database) -> bool:
    """Whether there is neither an order nor a message about one."""
    return not stored(database) and not announced(database)


@pytest.mark.parametrize("path", [ORDERS, COMMANDES])
def test_an_order_gets_names_prices_and_its_amount(shopping: FlaskClient, path: str) -> None:
    response = shopping.post(path, json={"order_id": "A", "customer_id": 1, "items": ITEMS})
    assert response.status_code == 201, response.text
    made = content(response)
    assert (made["status"], made["total_amount"], made["customer_id"]) == ("pending", 39.98, "1")
    assert made["items"] == [
        {"product_id": 1, "name": "The Matrix, DVD", "quantity": 2, "unit_price": 9.99},
        {"product_id": 4, "name": "Tron, Blu-ray", "quantity": 1, "unit_price": 20.0},
    ]
    assert '"unit_price":20.00' in response.text
    assert shopping.get(f"{path}/order/A").json == shown(response)


def test_inventory_is_called_once_in_the_same_trace(shopping: FlaskClient, shop: Shop) -> None:
    response = shopping.post(
        ORDERS,
        json={"customer_id": "1", "items": ITEMS},
        headers={"X-Request-ID": "request-1"},
    )
    assert response.status_code == 201
    assert shop.asked == [{"ids": "1,4", "limit": "1000"}]
    assert shop.headers[0]["X-Request-Id"] == "request-1"


def test_the_order_is_announced_with_its_lines(shopping: FlaskClient, orders_db: Database) -> None:
    made = content(order(shopping))
    [told] = announced(orders_db)
    assert told["type"] == "order.created"
    assert told["data"]["lines"] == made["items"]
    assert (told["data"]["total"], told["data"]["status"]) == (39.98, "pending")


def test_the_same_product_twice_is_summed(shopping: FlaskClient, shop: Shop) -> None:
    items = [*ITEMS, {"product_id": "1", "quantity": "3"}]
    made = content(order(shopping, items))
    assert [(item["product_id"], item["quantity"]) for item in made["items"]] == [(1, 5), (4, 1)]
    assert made["total_amount"] == 69.95
    assert shop.asked[0]["ids"] == "1,4"


def test_a_hundred_lines_are_accepted(shopping: FlaskClient) -> None:
    made = content(order(shopping, [{"product_id": 1, "quantity": 1}] * 100))
    assert made["total_amount"] == 999.0


@pytest.mark.parametrize("amount", [39.98, "39.98", None])
def test_a_matching_amount_is_accepted(shopping: FlaskClient, amount: object) -> None:
    assert content(order(shopping, total_amount=amount))["total_amount"] == 39.98


@pytest.mark.parametrize("amount", [39.97, 0, 40])
def test_a_wrong_amount_is_refused_and_the_right_one_named(
    shopping: FlaskClient, orders_db: Database, amount: float
) -> None:
    response = order(shopping, total_amount=amount)
    assert fields(response) == ["total_amount"]
    assert "39.98" in response.text
    assert nothing_is_stored(orders_db)


def test_an_order_may_have_a_total_of_zero(shopping: FlaskClient) -> None:
    assert content(order(shopping, [{"product_id": 8, "quantity": 1}]))["total_amount"] == 0


def test_the_largest_amount_fits_and_one_more_is_refused(
    shopping: FlaskClient, orders_db: Database
) -> None:
    assert fields(order(shopping, [{"product_id": 7, "quantity": 2}])) == ["items"]
    assert nothing_is_stored(orders_db)
    made = content(order(shopping, [{"product_id": 7, "quantity": 1}]))
    assert made["total_amount"] == 9999999999.99


def test_products_that_do_not_exist_are_each_named(
    shopping: FlaskClient, orders_db: Database
) -> None:
    items = [{"product_id": key, "quantity": 1} for key in (99, 1, 2**63 - 1, 99)]
    response = order(shopping, items)
    assert fields(response) == [f"items.{index}.product_id" for index in (0, 2, 3)]
    assert "99" in response.text
    assert str(2**63 - 1) in response.text
    assert nothing_is_stored(orders_db)


def test_a_bare_order_calls_no_other_service(shopping: FlaskClient, shop: Shop) -> None:
    response = shopping.post(ORDERS, json={"customer_id": "1", "total_amount": 5})
    assert (response.status_code, shop.asked) == (201, [])


def test_without_inventory_the_answer_is_503_and_nothing_is_stored(
    orders_unconnected: Settings, orders_db: Database
) -> None:
    response = order(create_app(orders_unconnected).test_client())
    document = problem(response, 503)
    assert document["cause"] == "connection_refused"
    assert "inventory-api" in document["detail"]
    assert int(response.headers["Retry-After"]) >= 1
    assert nothing_is_stored(orders_db)


def test_inventory_without_its_database_is_a_503(
    shopping: FlaskClient, shop: Shop, orders_db: Database
) -> None:
    shop.says('{"status": 503}', 503)
    assert problem(order(shopping), 503)["cause"] == "upstream_unavailable"
    assert nothing_is_stored(orders_db)


@pytest.mark.parametrize("be_slow", [Shop.sleeps, Shop.stalls])
def test_with_inventory_too_slow_the_answer_is_504_and_nothing_is_stored(
    shopping: FlaskClient, shop: Shop, orders_db: Database, be_slow: Callable[[Shop], None]
) -> None:
    be_slow(shop)
    assert problem(order(shopping), 504)["cause"] == "timeout"
    assert len(shop.asked) == 1
    assert nothing_is_stored(orders_db)


def test_a_trickling_answer_has_the_same_time_limit_as_a_missing_one(
    shopping: FlaskClient, shop: Shop, orders_db: Database
) -> None:
    shop.trickles()
    assert problem(order(shopping), 504)["cause"] == "timeout"
    assert nothing_is_stored(orders_db)


def test_a_hanging_inventory_is_not_called_after_five_time_outs(
    shop: Shop,
    orders_db: Database,
    orders_unconnected: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 600)
    shopping = create_app(replace(orders_unconnected, inventory=shop.upstream)).test_client()
    shop.sleeps()
    for _ in range(circuit_breaker.FAILURES):
        assert problem(order(shopping), 504)["cause"] == "timeout"
    asked = len(shop.asked)
    response = order(shopping)
    assert problem(response, 503)["cause"] == "circuit_open"
    assert int(response.headers["Retry-After"]) >= 1
    assert len(shop.asked) == asked
    assert nothing_is_stored(orders_db)


def test_no_more_than_a_quarter_of_the_threads_wait_for_inventory(
    shop: Shop, orders_unconnected: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_client, "SECONDS", 60)
    monkeypatch.setattr(service_client, "PATIENCE_SECONDS", 0)
    app = create_app(wide(orders_unconnected, shop))
    shop.sleeps()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(order, app.test_client()) for _ in range(2)]
        wait_until(lambda: len(shop.asked) == 2, 50, "two orders to wait for their prices")
        assert problem(order(app.test_client()), 503)["cause"] == "upstream_busy"
        shop.awake.set()
        assert [response.result().status_code for response in waiting] == [201, 201]


def test_a_burst_waits_its_turn_while_inventory_answers(
    shop: Shop, orders_unconnected: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_client, "SECONDS", 60)
    monkeypatch.setattr(service_client, "PATIENCE_SECONDS", 50)
    app = create_app(wide(orders_unconnected, shop))
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: order(app.test_client()).status_code, range(64))
    assert set(answers) == {201}


@pytest.mark.parametrize(("threads", "share"), [(1, 1), (3, 1), (8, 2), (16, 4), (256, 64)])
def test_a_quarter_of_the_threads_is_at_least_one(threads: int, share: int) -> None:
    assert service_client.share_of(threads) == share


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("", 200),
        ("no json", 200),
        ("\xff", 200),
        ("{}", 200),
        ("null", 200),
        ('{"items": []}', 200),
        ("[1]", 200),
        ('[{"id": 1}]', 200),
        ('[{"id": 1, "name": "A", "price": -1}]', 200),
        ('[{"id": 1, "name": "A", "price": "much"}]', 200),
        ('[{"id": 1, "name": "A", "price": true}]', 200),
        ('[{"id": 0, "name": "A", "price": 1}]', 200),
        ('[{"id": 1, "name": null, "price": 1}]', 200),
        (f'[{{"id": 1, "name": "{"x" * 256}", "price": 1}}]', 200),
        ("[]", 201),
        ("[]", 301),
        ("[]", 400),
        ("[]", 404),
        ("[]", 422),
        ("[]", 500),
    ],
)
def test_an_invalid_answer_of_inventory_is_a_502_and_nothing_is_stored(
    shopping: FlaskClient, shop: Shop, orders_db: Database, answer: str, status: int
) -> None:
    shop.says(answer, status)
    document = problem(order(shopping), 502)
    assert document["cause"] == "broken_answer"
    assert "inventory-api" in document["detail"]
    assert nothing_is_stored(orders_db)


def test_a_key_whose_order_failed_can_be_used_again(
    shopping: FlaskClient, shop: Shop, orders_db: Database
) -> None:
    shop.says("[]", 500)
    headers = {"Idempotency-Key": "key-1"}
    body = {"customer_id": "1", "items": ITEMS}
    problem(shopping.post(ORDERS, json=body, headers=headers), 502)
    shop.answer = shop.products
    first = shopping.post(ORDERS, json=body, headers=headers)
    again = shopping.post(ORDERS, json=body, headers=headers)
    assert (first.status_code, again.status_code, again.json) == (201, 201, first.json)
    assert len(stored(orders_db)) == len(announced(orders_db)) == 1
    assert len(shop.asked) == 2


def test_a_repetition_whose_first_answer_was_lost_asks_inventory_for_nothing(
    shopping: FlaskClient, shop: Shop, orders_db: Database
) -> None:
    headers = {"Idempotency-Key": "key-1"}
    body = {"customer_id": "1", "items": ITEMS, "total_amount": 39.98}
    first = shopping.post(ORDERS, json=body, headers=headers)
    with orders_db.autocommit() as connection:
        connection.execute(text("DELETE FROM idempotency_keys"))
    shop.says("[]", 500)
    again = shopping.post(ORDERS, json=body, headers=headers)
    assert (again.status_code, again.json) == (201, first.json)
    assert len(stored(orders_db)) == len(announced(orders_db)) == 1


def test_two_concurrent_posts_with_one_key_make_one_order(
    shop: Shop,
    orders_db: Database,
    orders_unconnected: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when the first one's claim has expired while it waited for inventory."""
    monkeypatch.setattr(service_client, "SECONDS", 60)
    app = create_app(wide(orders_unconnected, shop))
    both_ask = threading.Barrier(2)

    def wait_for_the_other() -> Any:
        both_ask.wait(50)
        return shop.products()

    def post(number: int) -> TestResponse:
        if number:
            wait_until(lambda: bool(shop.asked), 50, "the first one to ask")
            with orders_db.autocommit() as connection:
                connection.execute(text("DELETE FROM idempotency_keys"))
        headers = {"Idempotency-Key": "key-1"}
        body = {"customer_id": "1", "items": ITEMS}
        return app.test_client().post(ORDERS, json=body, headers=headers)

    shop.answer = wait_for_the_other
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(post, range(2))
    assert (one.status_code, other.status_code) == (201, 201)
    assert one.json == other.json
    assert len(stored(orders_db)) == len(announced(orders_db)) == 1


def test_an_order_of_products_with_long_descriptions_is_priced_over_several_pages(
    inventory: FlaskClient,
    movies_db: Database,
    orders_db: Database,
    orders_unconnected: Settings,
) -> None:
    fill = """INSERT INTO products (name, description, price, stock)
        SELECT 'Product ' || n, repeat('😀', 10000), 1.00, 1 FROM generate_series(1, 100) n"""
    with movies_db.autocommit() as connection:
        connection.execute(text(fill))
    with served(inventory.application, orders_unconnected.inventory.port):
        items = [{"product_id": number, "quantity": 1} for number in range(100, 0, -1)]
        made = content(order(create_app(orders_unconnected).test_client(), items))
    assert (len(made["items"]), made["total_amount"]) == (100, 100.0)


def test_a_page_of_products_that_links_to_itself_is_a_bad_answer(
    shop: Shop, shopping: FlaskClient, orders_db: Database
) -> None:
    def circle() -> Response:
        response = shop.products()
        response.headers["Link"] = f'</api/products?{request.query_string.decode()}>; rel="next"'
        return response

    shop.answer = circle
    problem(order(shopping), 502)
    assert nothing_is_stored(orders_db)
