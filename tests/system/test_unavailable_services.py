"""What the gateway answers while a service is stopped."""

import requests

from tests.support.readiness import ready
from tests.support.stack.orders import Answer, Orders
from tools.stack.stack import Stack
from tools.stack.waiting import wait_for, wait_until


def test_an_upstream_that_is_stopped_is_503_with_retry_after(movies: str, stack: Stack) -> None:
    stack.pm2("stop", "inventory-api")
    try:
        # the cache may still have an answer
        answer = requests.get(movies, headers={"Cache-Control": "no-cache"}, timeout=10)
    finally:
        stack.pm2("start", "inventory-api")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["cause"] == "connection_refused"
    wait_until(lambda: ready(stack), 30, "inventory to be back")
    assert requests.get(movies, timeout=10).ok


def test_an_order_shows_its_details_and_which_of_them_are_unavailable(
    orders: Orders, stack: Stack
) -> None:
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


def details_without(orders: Orders, order: Answer, unavailable: list[str]) -> Answer:
    """The details of an order once just these are unavailable, and no others."""

    def look() -> requests.Response:
        url = f"{orders.url}/{order['id']}/details"
        return requests.get(url, headers=orders.headers, timeout=20)

    def is_so(answer: requests.Response) -> bool:
        assert answer.status_code in (200, 504), answer.text
        return answer.status_code == 200 and answer.json()["unavailable"] == unavailable

    details: Answer = wait_for(look, is_so, 30, f"the details without {unavailable}").json()
    return details
