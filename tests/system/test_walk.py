"""The README's walk through movies and bills, over the gateway."""

import requests

from tests.support.readiness import ready
from tests.system.client import GOOD, Bills
from tests.system.orders import Answer, Orders
from tools.stack import trace
from tools.stack.stack import Stack
from tools.stack.waiting import wait_for, wait_until


def test_a_movie_is_created_found_changed_and_deleted(movies: str) -> None:
    description = "Un hacker informatique apprend la vraie nature de sa réalité."
    created = requests.post(
        movies, json={"title": "The Matrix", "description": description}, timeout=10
    )
    movie = created.json()
    assert created.status_code == 201
    assert requests.get(movies, timeout=10).json() == [movie]
    assert requests.get(movies, params={"title": "matrix"}, timeout=10).json() == [movie]
    one = f"{movies}/{movie['id']}"
    assert requests.get(one, timeout=10).json() == movie
    changed = requests.put(one, json={"title": "The Matrix Reloaded"}, timeout=10)
    assert changed.json() == {**movie, "title": "The Matrix Reloaded"}
    assert requests.delete(f"{one}/", timeout=10).json() == changed.json()
    assert requests.get(one, timeout=10).status_code == 404


def test_a_bill_is_accepted_recorded_and_shown_under_its_id(bills: Bills) -> None:
    answer = bills.post({"user_id": 20, "number_of_items": "5", "total_amount": "180"})
    bills.wait_until_all_are_recorded()
    shown = requests.get(bills.stack.url + answer.headers["Location"], timeout=10)
    bill = shown.json()
    assert (bill["user_id"], bill["number_of_items"]) == ("20", 5)
    assert '"total_amount":180.00' in shown.text
    assert bill["id"] == answer.json()["id"]
    assert bill["order_id"] is None


def test_one_request_id_finds_a_bill_in_the_logs_of_all_processes(
    bills: Bills, stack: Stack
) -> None:
    bills.post(GOOD, **{"X-Request-ID": "find-me-everywhere"})
    bills.wait_until_all_are_recorded()

    def processes() -> set[str]:
        lines = trace.find(stack.process_manager.logs, "find-me-everywhere")
        return {line.split()[0] for line in lines}

    # orders hears of its own bills alone
    told = {"gateway", "billing-consumer", "billing-relay"}
    # what is confirmed late goes by the outbox
    at_most = told | {"gateway-relay"}
    wait_until(lambda: told <= processes() <= at_most, 30, "all log lines")


def test_an_upstream_that_is_stopped_is_503_with_retry_after(movies: str, stack: Stack) -> None:
    stack.pm2("stop", "inventory-api")
    try:
        answer = requests.get(movies, timeout=10)
    finally:
        stack.pm2("start", "inventory-api")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["cause"] == "connection_refused"
    wait_until(lambda: ready(stack), 30, "inventory to be back")
    assert requests.get(movies, timeout=10).ok


def test_an_order_shows_its_details_and_what_is_away(orders: Orders, stack: Stack) -> None:
    order = orders.place((orders.make_product(price=9.9), 2))
    orders.wait_for_status(order, "completed")
    details = details_without(orders, order, [])
    assert details["bill"]["order_id"] == order["order_id"]
    assert str(details["customer"]["id"]) == orders.customer
    assert details["history"] == orders.get(order, "/history")
    assert details["order"]["items"][0]["product"]["price"] == 9.9
    stack.pm2("stop", "customers-api", "billing-api")
    try:
        details = details_without(orders, order, ["bill", "customer"])
    finally:
        stack.pm2("start", "customers-api", "billing-api")
    assert (details["customer"], details["bill"]) == (None, None)


def details_without(orders: Orders, order: Answer, away: list[str]) -> Answer:
    """The details of an order once just these are away: none is waited for longer than a second."""

    def look() -> requests.Response:
        url = f"{orders.url}/{order['id']}/details"
        return requests.get(url, headers=orders.headers, timeout=20)

    def is_so(answer: requests.Response) -> bool:
        assert answer.status_code in (200, 504), answer.text
        return answer.status_code == 200 and answer.json()["unavailable"] == away

    details: Answer = wait_for(look, is_so, 30, f"the details without {away}").json()
    return details
