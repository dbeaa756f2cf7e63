"""Orders through all services: the saga, happy and unhappy, raced and cancelled; who may order."""

import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.support.stack.listener import Listener
from tests.support.stack.orders import Orders
from tests.support.stack_commands import run
from tools.stack.commands import seed
from tools.stack.stack import Stack

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def listener(stack: Stack, orders: Orders) -> Iterator[Listener]:
    """A queue that gets the events of orders."""
    listener = Listener(stack, "tests-order-events")
    listener.bind("order_events")
    yield listener
    listener.remove()


@pytest.mark.parametrize("name", ["orders", "commandes"])
def test_an_order_reserves_stock_is_billed_and_completed_and_its_customer_gets_mails(
    stack: Stack, orders: Orders, listener: Listener, name: str
) -> None:
    orders.url = f"{stack.url}/api/{name}"
    dvd, poster = orders.make_product(5, price=19.99), orders.make_product(3, price=5.0)
    order = orders.place((dvd, 2), (poster, 1))
    assert (order["status"], order["total_amount"]) == ("pending", 44.98)
    orders.wait_for_status(order, "completed")
    orders.wait_until_settled()
    products = {p: requests.get(f"{stack.url}/api/products/{p}", timeout=10) for p in (dvd, poster)}
    assert {p: answer.json()["stock"] for p, answer in products.items()} == {dvd: 3, poster: 2}
    [row] = orders.rows()
    bill = requests.get(f"{stack.url}/api/billing/{row.uid}", timeout=10).json()
    assert (bill["order_id"], bill["number_of_items"]) == (order["order_id"], 3)
    assert (bill["user_id"], bill["total_amount"]) == (orders.customer, 44.98)
    # the orders' outbox is empty
    listener.receive_all()
    events = (e for e in listener.events.values() if e["data"]["order_id"] == order["order_id"])
    announced = [(event["type"], event["data"]["status"]) for event in events]
    acts = (("created", "pending"), ("updated", "processing"), ("completed", "completed"))
    assert announced == [(f"order.{act}", status) for act, status in acts]


def test_an_order_for_more_than_the_stock_is_cancelled_and_reserves_nothing(
    stack: Stack, orders: Orders
) -> None:
    plenty, scarce = orders.make_product(100), orders.make_product(1)
    order = orders.place((plenty, 1), (scarce, 2))
    orders.wait_for_status(order, "cancelled")
    orders.wait_until_settled()
    shown = requests.get(f"{stack.url}/api/products/{scarce}", timeout=10).json()
    assert shown["name"] in orders.get(order)["reason"]
    assert [change["cause"] for change in orders.get(order, "/history")] == [
        "api",
        "stock.rejected",
    ]
    [row] = orders.rows()
    assert requests.get(f"{stack.url}/api/billing/{row.uid}", timeout=10).status_code == 404


def test_of_two_orders_for_the_last_copy_one_is_completed_and_one_cancelled(
    orders: Orders,
) -> None:
    for _ in range(3):
        last = orders.make_product(1)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: orders.place((last, 1)), range(2)))  # noqa: B023
    orders.wait_until_settled()
    ends = [orders.get(order)["status"] for order in orders.placed]
    assert (ends.count("completed"), ends.count("cancelled")) == (3, 3)


def test_a_cancellation_that_races_the_saga_leaves_either_an_order_or_nothing(
    orders: Orders,
) -> None:
    product = orders.make_product()

    def place_and_cancel(_number: int) -> int:
        return orders.cancel(orders.place((product, 2))).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(place_and_cancel, range(24)))
    orders.wait_until_settled()
    ends = [row.status for row in orders.rows()]
    assert ends.count("cancelled") == answers.count(200)
    assert ends.count("completed") == answers.count(409) == 24 - answers.count(200)


def test_an_order_cancelled_before_its_stock_is_reserved_gets_none(
    stack: Stack, orders: Orders
) -> None:
    product = orders.make_product(1)
    stack.pm2("stop", "inventory-consumer")
    try:
        order = orders.place((product, 1))
        assert orders.cancel(order).json()["status"] == "cancelled"
    finally:
        stack.pm2("start", "inventory-consumer")
    orders.wait_until_settled()
    assert orders.get(order)["status"] == "cancelled"


def test_an_order_cancelled_before_its_bill_is_recorded_has_a_void_one(
    stack: Stack, orders: Orders
) -> None:
    product = orders.make_product(1)
    stack.pm2("stop", "billing-consumer")
    try:
        order = orders.place((product, 1))
        orders.wait_for_status(order, "processing")
        assert orders.cancel(order).json()["status"] == "cancelled"
    finally:
        stack.pm2("start", "billing-consumer")
    orders.wait_until_settled()
    [row] = orders.rows()
    bill = requests.get(f"{stack.url}/api/billing/{row.uid}", timeout=10).json()
    assert bill["voided_at"] is not None


def test_without_inventory_an_order_is_503_and_nothing_is_stored(
    stack: Stack, orders: Orders
) -> None:
    product = orders.make_product()
    stack.pm2("stop", "inventory-api")
    try:
        answer = orders.post((product, 1))
    finally:
        stack.pm2("start", "inventory-api")
    assert (answer.status_code, bool(answer.json()["cause"])) == (503, True)
    assert int(answer.headers["Retry-After"]) > 0
    assert orders.rows() == []


def test_a_repeated_idempotency_key_makes_one_order(orders: Orders) -> None:
    product = orders.make_product()
    answers = [orders.post((product, 1), **{"Idempotency-Key": "tests-1"}) for _ in range(3)]
    assert len({answer.text for answer in answers}) == 1
    orders.placed = [answers[0].json()]
    orders.wait_until_settled()
    assert len(orders.rows()) == 1


def test_without_a_token_and_with_a_wrong_one_orders_are_401_and_all_else_goes_on(
    stack: Stack, orders: Orders
) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong-token"}, {"X-Caller": "token:1"}):
        for name in ("orders", "commandes/1", "orders/stats"):
            answer = requests.get(f"{stack.url}/api/{name}", headers=headers, timeout=10)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
            assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert requests.get(f"{stack.url}/api/products", timeout=10).status_code == 200


def test_a_token_may_do_what_its_scope_says_until_it_is_revoked(
    stack: Stack, orders: Orders
) -> None:
    token = run(stack, "gateway", "token", "create", "--name", "reader", "--scope", "orders:read")
    orders.headers = {"Authorization": f"Bearer {token.split()[-1]}"}
    assert requests.get(orders.url, headers=orders.headers, timeout=10).status_code == 200
    refused = orders.post((orders.make_product(), 1))
    assert refused.status_code == 403
    assert "insufficient_scope" in refused.headers["WWW-Authenticate"]
    run(stack, "gateway", "token", "revoke", "reader")
    assert requests.get(orders.url, headers=orders.headers, timeout=10).status_code == 401


def test_imported_orders_exist_without_stock_moves_or_mails(
    stack: Stack, orders: Orders, tmp_path: Path
) -> None:
    before = orders.mails()
    file = tmp_path / "orders.csv"
    with file.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["order_id", "customer_id", "total_amount", "status"])
        writer.writerows(
            [f"{orders.customer}-{n}", orders.customer, "1.50", "completed"] for n in range(200)
        )
    assert "orders loaded: 200; skipped, since they exist: 0" in run(
        stack, "orders", "import", str(file)
    )
    assert "orders loaded: 0; skipped, since they exist: 200" in run(
        stack, "orders", "import", str(file)
    )
    answer = requests.get(
        f"{orders.url}/order/{orders.customer}-7", headers=orders.headers, timeout=10
    )
    assert answer.json()["total_amount"] == 1.5
    assert orders.mails() == before


def test_the_sample_data_are_loaded_once(stack: Stack, orders: Orders, capfd: Captured) -> None:
    for _ in range(2):
        assert seed(stack) == 0
    output, _ = capfd.readouterr()
    assert all(f"{kind}: 0 made" in output for kind in ("movies", "products", "customers"))
    assert "orders loaded: 0;" in output
    url = f"{orders.url}?order_id=OLD-0001"
    [order] = requests.get(url, headers=orders.headers, timeout=10).json()
    assert order["status"] == "completed"
    customer = requests.get(f"{stack.url}/api/customers/{order['customer_id']}", timeout=10)
    assert customer.status_code == 200


def test_written_mails_can_be_listed_and_shown(stack: Stack, orders: Orders) -> None:
    order = orders.place((orders.make_product(), 2))
    orders.wait_until_settled()
    [row] = orders.rows()
    lines = [line for line in run(stack, "orders", "mail", "list").splitlines() if row.uid in line]
    assert sorted(line.split()[0] for line in lines) == [
        f"{row.uid}.completed",
        f"{row.uid}.created",
    ]
    shown = run(stack, "orders", "mail", "show", f"{row.uid}.created")
    assert order["order_id"] in shown
    assert "19.98" in shown
