"""`/api/orders`, and `/api/commandes`, its other name: ids, methods."""

import pytest
from flask.testing import FlaskClient

from chassis import VERSION
from tests.support.answers import NO_IDS, content, fields, problem
from tests.support.orders_api import BARE, BOTH, ORDERS, shown


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
def test_an_order_that_does_not_exist_is_a_404(
    orders: FlaskClient, method: str, below: str, body: object, key: int
) -> None:
    response = orders.open(f"{ORDERS}/{key}{below}", method=method, json=body)
    assert str(key) in problem(response, 404)["detail"]


@BOTH
def test_every_route_answers_with_a_trailing_slash_too(orders: FlaskClient, path: str) -> None:
    created = orders.post(f"{path}/", json=BARE)
    assert (created.status_code, created.headers["Location"]) == (201, f"{path}/1")
    for below in ("/", "/status/pending/", "/customer/CLIENT123/"):
        assert orders.get(f"{path}{below}").json == [shown(created)]
    for below in ("/1/", "/order/CMD001/"):
        assert orders.get(f"{path}{below}").json == shown(created)
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


def test_the_root_has_the_name_and_state_of_the_platform(orders: FlaskClient) -> None:
    response = orders.get("/")
    assert response.status_code == 200
    about = content(response)
    assert (about["name"], about["version"]) == ("orders-api", VERSION)
    assert about["health"]["status"] == "ready"
    assert about["health"]["checks"]["orders_db"]["status"] == "up"
