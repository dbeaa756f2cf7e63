"""Changing the stock of a product by hand."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.answers import JSON, content, fields, problem
from tests.support.products_api import BOTH, DVD, MOST, PRODUCTS, adjust, create

NO_DELTAS = [
    '{"delta": 0}',
    '{"delta": "0"}',
    '{"delta": 0.0}',
    '{"delta": null}',
    '{"delta": true}',
    '{"delta": 1.5}',
    '{"delta": "five"}',
    '{"delta": ""}',
    '{"delta": [5]}',
    '{"delta": 2147483648}',
    '{"delta": -2147483648}',
    '{"delta": 1E+1000000}',
    json.dumps({"delta": -(10**500)}),
    "{}",
]


@BOTH
@pytest.mark.parametrize(
    ("stock", "delta", "left"),
    [(3, 5, 8), (3, -3, 0), (0, MOST, MOST), (MOST, -MOST, 0), (0, "5", 5), (3, -1.0, 2)],
)
def test_stock_is_adjusted_by_a_delta(
    inventory: FlaskClient, path: str, stock: int, delta: object, left: int
) -> None:
    product = create(inventory, **DVD | {"stock": stock})
    response = inventory.post(f"{path}/1/stock", json={"delta": delta})
    assert (response.status_code, response.json) == (200, {**product, "stock": left})
    assert inventory.get(f"{path}/1").json == response.json


@pytest.mark.parametrize(
    ("stock", "delta"), [(3, -4), (0, -1), (3, -MOST), (MOST, 1), (1, MOST), (MOST, MOST)]
)
def test_a_delta_beyond_the_limits_is_a_409_that_names_the_stock(
    inventory: FlaskClient, stock: int, delta: int
) -> None:
    product = create(inventory, stock=stock)
    assert f"There are {stock:,} " in problem(adjust(inventory, 1, delta), 409)["detail"]
    assert inventory.get(f"{PRODUCTS}/1").json == product


@pytest.mark.parametrize("body", NO_DELTAS, ids=lambda body: f"{body:.30}")
def test_a_delta_that_is_no_whole_number_or_zero_is_refused(
    inventory: FlaskClient, body: str
) -> None:
    product = create(inventory, stock=3)
    path = f"{PRODUCTS}/1/stock"
    assert fields(inventory.post(path, data=body, content_type=JSON)) == ["delta"]
    assert inventory.get(f"{PRODUCTS}/1").json == product


def test_a_stock_body_has_only_a_delta(inventory: FlaskClient) -> None:
    create(inventory)
    response = inventory.post(f"{PRODUCTS}/1/stock", json={"delta": 1, "stock": 5})
    assert fields(response) == ["stock"]
    problem(inventory.post(f"{PRODUCTS}/1/stock"), 415)
    problem(inventory.post(f"{PRODUCTS}/1/stock", data=b"", content_type=JSON), 400)


def at_once(inventory: FlaskClient, act: Callable[[FlaskClient, int], int], times: int) -> Any:
    """How many times `act`, called by four threads, gives each answer."""
    app = inventory.application
    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(lambda number: act(app.test_client(), number), range(times)))


def test_concurrent_deltas_are_all_counted(inventory: FlaskClient) -> None:
    create(inventory, stock=100)
    answers = at_once(inventory, lambda c, n: adjust(c, 1, 3 if n % 2 else -1).status_code, 200)
    assert answers == {200: 200}
    assert content(inventory.get(f"{PRODUCTS}/1"))["stock"] == 100 + 100 * 3 - 100


def test_the_last_copies_go_to_as_many_concurrent_buyers(
    inventory: FlaskClient,
) -> None:
    create(inventory, stock=37)
    assert at_once(inventory, lambda c, _n: adjust(c, 1, -1).status_code, 100) == {200: 37, 409: 63}
    assert content(inventory.get(f"{PRODUCTS}/1"))["stock"] == 0
