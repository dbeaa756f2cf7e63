"""`/api/products`, and `/api/produits`, its other name: making, changing and deleting."""

import json

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from chassis.storage.database import Database
from tests.support.answers import JSON, NO_IDS, NO_JSON, NO_OBJECT, fields, problem
from tests.support.movies_api import create as create_movie
from tests.support.products_api import BOTH, DVD, MOST, PRODUCTS, PRODUITS, adjust, create, stored

INVALID = [
    ('{"name": ""}', "name"),
    ('{"name": " \\t\\u00a0"}', "name"),
    ('{"name": null}', "name"),
    ('{"name": true}', "name"),
    ('{"name": 5}', "name"),
    ('{"name": ["DVD"]}', "name"),
    ('{"name": "a\\u0000b"}', "name"),
    ('{"name": "\\ud800"}', "name"),
    (json.dumps({"name": "x" * 256}), "name"),
    ('{"description": 5}', "description"),
    ('{"description": true}', "description"),
    ('{"description": "a\\u0000b"}', "description"),
    (json.dumps({"description": "x" * 10_001}), "description"),
    ('{"price": null}', "price"),
    ('{"price": true}', "price"),
    ('{"price": "free"}', "price"),
    ('{"price": ""}', "price"),
    ('{"price": [9.99]}', "price"),
    ('{"price": -0.01}', "price"),
    ('{"price": 9.999}', "price"),
    ('{"price": 1E-400}', "price"),
    ('{"price": 10000000000}', "price"),
    ('{"price": 1E+1000000}', "price"),
    ('{"price": "9,99"}', "price"),
    ('{"price": "NaN"}', "price"),
    ('{"stock": null}', "stock"),
    ('{"stock": true}', "stock"),
    ('{"stock": -1}', "stock"),
    ('{"stock": 1.5}', "stock"),
    ('{"stock": 2147483648}', "stock"),
    ('{"stock": 1E+1000000}', "stock"),
    ('{"stock": "many"}', "stock"),
    ('{"stock": ""}', "stock"),
    ('{"stock": {"de": 5}}', "stock"),
    (json.dumps({"stock": 10**500}), "stock"),
    ('{"movie_id": 0}', "movie_id"),
    ('{"movie_id": -1}', "movie_id"),
    ('{"movie_id": 1.5}', "movie_id"),
    ('{"movie_id": true}', "movie_id"),
    ('{"movie_id": "The Matrix"}', "movie_id"),
    ('{"movie_id": [1]}', "movie_id"),
    ('{"movie_id": 9223372036854775808}', "movie_id"),
    ('{"movie_id": 999}', "movie_id"),
    ('{"movie_id": 9223372036854775807}', "movie_id"),
    ('{"id": 5}', "id"),
    ('{"Price": 5}', "Price"),
    ('{"currency": "EUR"}', "currency"),
]


def write(inventory: FlaskClient, method: str, data: bytes, kind: str = JSON) -> TestResponse:
    """Create a product with `data`, or change one that is there."""
    path = PRODUCTS if method == "POST" else f"{PRODUCTS}/{create(inventory, 'Before')['id']}"
    return inventory.open(path, method=method, data=data, content_type=kind)


@BOTH
def test_creating_answers_with_the_product_and_its_address(
    inventory: FlaskClient, path: str
) -> None:
    response = inventory.post(path, json=DVD)
    assert (response.status_code, response.content_type) == (201, JSON)
    assert response.json == {"id": 1, **DVD}
    assert response.headers["Location"] == f"{path}/1"
    assert inventory.get(response.headers["Location"]).json == response.json


def test_a_name_and_a_price_are_enough(inventory: FlaskClient) -> None:
    response = inventory.post(PRODUCTS, json={"name": "DVD", "price": 0})
    expected = {"description": None, "price": 0.0, "stock": 0, "movie_id": None}
    assert (response.status_code, response.json) == (201, {"id": 1, "name": "DVD", **expected})


@pytest.mark.parametrize("missing", ["name", "price"])
def test_a_product_without_a_name_or_a_price_is_refused(
    inventory: FlaskClient, missing: str
) -> None:
    given = {name: value for name, value in DVD.items() if name != missing}
    assert fields(inventory.post(PRODUCTS, json=given)) == [missing]


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ("10", "10.00"),
        ("10.5", "10.50"),
        ("1.10", "1.10"),
        ("1.500", "1.50"),
        ("0", "0.00"),
        ("-0.0", "0.00"),
        ("1E+3", "1000.00"),
        ("9999999999.99", "9999999999.99"),
        ('"9.99"', "9.99"),
        ('" 7 "', "7.00"),
    ],
)
def test_a_price_is_a_json_number_with_two_decimals(
    inventory: FlaskClient, given: str, answered: str
) -> None:
    body = f'{{"name": "DVD", "price": {given}}}'.encode()
    created = inventory.post(PRODUCTS, data=body, content_type=JSON)
    assert created.status_code == 201
    for response in (created, inventory.get(f"{PRODUCTS}/1"), inventory.get(PRODUCTS)):
        assert f'"price":{answered},' in response.text


@pytest.mark.parametrize("stock", [0, 1, MOST, "5", 5.0])
def test_a_stock_is_a_whole_number(inventory: FlaskClient, stock: object) -> None:
    created = create(inventory, stock=stock)["stock"]
    assert (created, type(created)) == (int(str(stock).partition(".")[0]), int)


def test_the_stored_product_is_the_answer(inventory: FlaskClient, movies_db: Database) -> None:
    movie = create_movie(inventory, "The Matrix")
    given = {
        "name": "  L'École 😀 <b>\n",
        "description": "  one\n\ntwo\n",
        "price": 12.3,
        "stock": 4,
        "movie_id": movie["id"],
    }
    created = create(inventory, **given)
    assert created == {"id": 1, **given, "name": "L'École 😀 <b>"}
    [row] = stored(movies_db)
    assert {**row, "price": str(row["price"])} == {**created, "price": "12.30"}


def test_fields_missing_from_a_change_stay(inventory: FlaskClient) -> None:
    movie = create_movie(inventory, "The Matrix")
    product = create(inventory, **DVD)
    for change in (
        {"name": "Blu-ray"},
        {"description": "Again."},
        {"description": None},
        {"price": 19.5},
        {"stock": 0},
        {"stock": 7},
        {"movie_id": movie["id"]},
        {"movie_id": None},
        {"name": "DVD", "price": 5, "stock": 1, "description": "x", "movie_id": movie["id"]},
    ):
        product |= change
        for path in (PRODUCTS, PRODUITS):
            response = inventory.put(f"{path}/1", json=change, headers={"If-Match": "*"})
            assert (response.status_code, response.json) == (200, product)
            assert inventory.get(f"{path}/1").json == product


def test_a_change_touches_no_other_product(inventory: FlaskClient) -> None:
    other, product = create(inventory, "Other"), create(inventory)
    inventory.put(
        f"{PRODUCTS}/{product['id']}",
        json={"name": "Blu-ray", "stock": 5},
        headers={"If-Match": "*"},
    )
    adjust(inventory, product["id"], 5)
    assert inventory.get(f"{PRODUCTS}/{other['id']}").json == other


@BOTH
def test_deleting_answers_with_the_product_as_it_was(inventory: FlaskClient, path: str) -> None:
    product, other = create(inventory, **DVD), create(inventory, "Other")
    deleted = inventory.delete(f"{path}/1")
    assert (deleted.status_code, deleted.json) == (200, product)
    assert inventory.get(path).json == [other]
    for again in (inventory.get(f"{path}/1"), inventory.delete(f"{path}/1")):
        assert "product" in problem(again, 404)["detail"]


def test_an_id_is_never_reused(inventory: FlaskClient) -> None:
    first = create(inventory)
    inventory.delete(f"{PRODUCTS}/{first['id']}")
    assert create(inventory)["id"] > first["id"]


def test_every_route_answers_with_a_trailing_slash_too(inventory: FlaskClient) -> None:
    created = inventory.post(f"{PRODUCTS}/", json=DVD)
    assert (created.status_code, created.headers["Location"]) == (201, f"{PRODUCTS}/1")
    assert inventory.get(f"{PRODUCTS}/").json == [created.json]
    assert inventory.get(f"{PRODUCTS}/1/").json == created.json
    changed = inventory.put(f"{PRODUCTS}/1/", json={"stock": 5}, headers={"If-Match": "*"})
    assert changed.json == {"id": 1, **DVD, "stock": 5}
    adjusted = inventory.post(f"{PRODUCTS}/1/stock/", json={"delta": 1})
    assert inventory.delete(f"{PRODUCTS}/1/").json == adjusted.json


@BOTH
@pytest.mark.parametrize(
    ("below", "methods", "allowed"),
    [
        ("", ["PUT", "PATCH", "DELETE", "BREW"], "GET HEAD OPTIONS POST"),
        ("/1", ["POST", "PATCH", "BREW"], "GET HEAD OPTIONS PUT DELETE"),
        ("/1/stock", ["GET", "PUT", "PATCH", "DELETE"], "OPTIONS POST"),
    ],
)
def test_a_method_that_does_not_exist_is_a_405_with_allow(
    inventory: FlaskClient, path: str, below: str, methods: list[str], allowed: str
) -> None:
    create(inventory)
    for method in methods:
        response = inventory.open(path + below, method=method, json=DVD)
        problem(response, 405)
        assert set(response.headers["Allow"].split(", ")) == set(allowed.split())


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", NO_JSON)
def test_a_body_that_is_not_json_is_a_400(inventory: FlaskClient, method: str, body: str) -> None:
    problem(write(inventory, method, NO_JSON[body], JSON), 400)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", NO_OBJECT)
def test_json_that_is_no_object_is_a_422(inventory: FlaskClient, method: str, body: str) -> None:
    assert fields(write(inventory, method, body.encode(), JSON)) == [""]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "multipart/form-data"])
def test_another_content_type_is_a_415(inventory: FlaskClient, method: str, kind: str) -> None:
    problem(write(inventory, method, json.dumps(DVD).encode(), kind), 415)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_over_one_mebibyte_is_a_413(inventory: FlaskClient, method: str) -> None:
    problem(write(inventory, method, b'{"name": "' + b"x" * 1024 * 1024 + b'"}', JSON), 413)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("body", "field"), INVALID, ids=[f"{b:.40}" for b, _ in INVALID])
def test_errors_of_a_product_are_named_by_field(
    inventory: FlaskClient, movies_db: Database, method: str, body: str, field: str
) -> None:
    if method == "POST":
        # what is missing besides
        name = "" if field == "name" else '"name": "DVD", '
        price = "" if field == "price" else '"price": 5, '
        body = "{" + name + price + body[1:]
    assert fields(write(inventory, method, body.encode())) == [field]
    assert [row["name"] for row in stored(movies_db)] == (["Before"] if method == "PUT" else [])


def test_all_errors_are_reported_at_once(inventory: FlaskClient) -> None:
    response = inventory.post(PRODUCTS, json={"price": -1, "stock": -1, "movie_id": 0, "a": 1})
    assert sorted(fields(response)) == ["a", "movie_id", "name", "price", "stock"]


def test_a_change_of_nothing_is_refused(inventory: FlaskClient) -> None:
    create(inventory)
    assert fields(inventory.put(f"{PRODUCTS}/1", json={})) == [""]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("key", NO_IDS)
def test_an_id_that_is_no_positive_64_bit_integer_is_refused(
    inventory: FlaskClient, method: str, key: str
) -> None:
    path = f"{PRODUCTS}/{NO_IDS[key]}"
    problem(inventory.open(path, method=method, json={"name": "A"}), 404, 422)
    problem(inventory.post(f"{path}/stock", json={"delta": 1}), 404, 422)


@pytest.mark.parametrize("key", [1, 2**31, 2**63 - 1])
def test_a_product_that_does_not_exist_is_a_404(inventory: FlaskClient, key: int) -> None:
    for response in (
        inventory.get(f"{PRODUCTS}/{key}"),
        inventory.put(f"{PRODUCTS}/{key}", json={"name": "A"}),
        inventory.put(f"{PRODUCTS}/{key}", json={"movie_id": 999}),
        inventory.delete(f"{PRODUCTS}/{key}"),
        adjust(inventory, key, -1),
    ):
        assert str(key) in problem(response, 404)["detail"]


def test_a_path_below_a_product_is_a_404(inventory: FlaskClient) -> None:
    create(inventory)
    for path in ("1/price", "1/stock/5", "/1", "1//stock"):
        problem(inventory.get(f"{PRODUCTS}/{path}"), 404)


@pytest.mark.parametrize("values", ["('', 1)", "(NULL, 1)", "('A', -0.01)", "('A', NULL)"])
def test_the_schema_itself_refuses_an_invalid_product(movies_db: Database, values: str) -> None:
    with movies_db.autocommit() as connection, pytest.raises(IntegrityError):
        connection.execute(text(f"INSERT INTO products (name, price) VALUES {values}"))


def test_the_schema_itself_refuses_a_negative_stock(movies_db: Database) -> None:
    with movies_db.autocommit() as connection, pytest.raises(IntegrityError):
        connection.execute(text("INSERT INTO products (name, price, stock) VALUES ('A', 1, -1)"))
