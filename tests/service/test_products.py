"""`/api/products`, and `/api/produits`, its other name."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, text
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from chassis.database import Database
from inventory import products
from inventory.models import Product
from tests.service.answers import JSON, NO_IDS, NO_JSON, NO_OBJECT, content, fields, problem
from tests.service.test_movies import MOVIES, SIGNS
from tests.service.test_movies import create as create_movie

PRODUCTS, PRODUITS = "/api/products", "/api/produits"
BOTH = pytest.mark.parametrize("path", [PRODUCTS, PRODUITS])
MOST = 2**31 - 1
DVD: dict[str, Any] = {
    "name": "The Matrix (DVD)",
    "description": "A hacker learns the truth.",
    "price": 9.99,
    "stock": 3,
    "movie_id": None,
}
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


def create(inventory: FlaskClient, name: str = "DVD", **given: object) -> dict[str, Any]:
    """Create a product that costs 9.99, unless it is said otherwise."""
    response = inventory.post(PRODUCTS, json={"name": name, "price": 9.99, **given})
    assert response.status_code == 201, response.text
    product: dict[str, Any] = content(response)
    return product


def names(response: TestResponse) -> list[str]:
    """The names in a list."""
    assert response.status_code == 200, response.text
    return [product["name"] for product in content(response)]


def adjust(inventory: FlaskClient, product_id: int, delta: object) -> TestResponse:
    """Change the stock of a product."""
    return inventory.post(f"{PRODUCTS}/{product_id}/stock", json={"delta": delta})


def write(inventory: FlaskClient, method: str, data: bytes, kind: str = JSON) -> TestResponse:
    """Create a product with `data`, or change one that is there."""
    path = PRODUCTS if method == "POST" else f"{PRODUCTS}/{create(inventory, 'Before')['id']}"
    return inventory.open(path, method=method, data=data, content_type=kind)


def stored(database: Database) -> list[dict[str, Any]]:
    """The rows of the table."""
    with database.read() as connection:
        rows = connection.execute(text("SELECT * FROM products ORDER BY id")).mappings()
        return [dict(row) for row in rows]


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


def test_what_is_kept_of_a_product_is_what_is_answered(
    inventory: FlaskClient, movies_db: Database
) -> None:
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


def test_what_a_change_leaves_out_stays(inventory: FlaskClient) -> None:
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
            response = inventory.put(f"{path}/1", json=change)
            assert (response.status_code, response.json) == (200, product)
            assert inventory.get(f"{path}/1").json == product


def test_a_change_touches_no_other_product(inventory: FlaskClient) -> None:
    other, product = create(inventory, "Other"), create(inventory)
    inventory.put(f"{PRODUCTS}/{product['id']}", json={"name": "Blu-ray", "stock": 5})
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


def test_an_id_is_never_given_twice(inventory: FlaskClient) -> None:
    first = create(inventory)
    inventory.delete(f"{PRODUCTS}/{first['id']}")
    assert create(inventory)["id"] > first["id"]


def test_every_route_answers_with_a_trailing_slash_too(inventory: FlaskClient) -> None:
    created = inventory.post(f"{PRODUCTS}/", json=DVD)
    assert (created.status_code, created.headers["Location"]) == (201, f"{PRODUCTS}/1")
    assert inventory.get(f"{PRODUCTS}/").json == [created.json]
    assert inventory.get(f"{PRODUCTS}/1/").json == created.json
    changed = inventory.put(f"{PRODUCTS}/1/", json={"stock": 5})
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
def test_what_is_wrong_with_a_product_is_named_by_field(
    inventory: FlaskClient, movies_db: Database, method: str, body: str, field: str
) -> None:
    if method == "POST":
        # what is missing besides
        name = "" if field == "name" else '"name": "DVD", '
        price = "" if field == "price" else '"price": 5, '
        body = "{" + name + price + body[1:]
    assert fields(write(inventory, method, body.encode())) == [field]
    assert [row["name"] for row in stored(movies_db)] == (["Before"] if method == "PUT" else [])


def test_all_that_is_wrong_is_said_at_once(inventory: FlaskClient) -> None:
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
def test_a_product_that_is_not_there_is_a_404(inventory: FlaskClient, key: int) -> None:
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


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=abc", "limit"),
        ("after=0", "after"),
        ("after=abc", "after"),
        ("name=%00", "name"),
        (f"name={'x' * 256}", "name"),
        ("name=a&name=b", "name"),
        ("movie_id=0", "movie_id"),
        ("movie_id=", "movie_id"),
        ("movie_id=The", "movie_id"),
        ("movie_id=9223372036854775808", "movie_id"),
        ("in_stock=yes", "in_stock"),
        ("in_stock=1", "in_stock"),
        ("in_stock=TRUE", "in_stock"),
        ("in_stock=", "in_stock"),
        ("ids=", "ids"),
        ("ids=,", "ids"),
        ("ids=1,", "ids"),
        ("ids=1,,2", "ids"),
        ("ids=0", "ids"),
        ("ids=-1", "ids"),
        ("ids=1;2", "ids"),
        ("ids=1.5", "ids"),
        ("ids=one", "ids"),
        ("ids=[1,2]", "ids"),
        ("ids=%EF%BC%91", "ids"),
        ("ids=9223372036854775808", "ids"),
        ("ids=1&ids=2", "ids"),
        (f"ids={','.join(map(str, range(1, 1002)))}", "ids"),
        ("price=5", "price"),
        ("stock=0", "stock"),
        ("Name=a", "Name"),
    ],
    ids=lambda value: f"{value:.30}",
)
@BOTH
def test_a_query_parameter_that_is_wrong_unknown_or_repeated_is_named(
    inventory: FlaskClient, path: str, query: str, field: str
) -> None:
    assert fields(inventory.get(f"{path}?{query}")) == [field]


def test_products_are_listed_in_the_order_of_their_ids(inventory: FlaskClient) -> None:
    assert (inventory.get(PRODUCTS).status_code, inventory.get(PRODUCTS).json) == (200, [])
    made = [create(inventory, name) for name in ("C", "A", "B")]
    inventory.put(f"{PRODUCTS}/1", json={"name": "D"})
    assert inventory.get(PRODUCTS).json == [{**made[0], "name": "D"}, *made[1:]]
    assert inventory.get(PRODUITS).json == inventory.get(PRODUCTS).json


def test_a_list_can_be_filtered_by_all_at_once(inventory: FlaskClient) -> None:
    matrix, tron = (create_movie(inventory, title)["id"] for title in ("The Matrix", "Tron"))
    create(inventory, "Matrix DVD", movie_id=matrix, stock=2)
    create(inventory, "Matrix Blu-ray", movie_id=matrix)
    create(inventory, "Tron DVD", movie_id=tron, stock=1)
    create(inventory, "A mug", stock=9)
    for query, found in {
        f"movie_id={matrix}": ["Matrix DVD", "Matrix Blu-ray"],
        "movie_id=999": [],
        "in_stock=true": ["Matrix DVD", "Tron DVD", "A mug"],
        "in_stock=false": ["Matrix Blu-ray"],
        "ids=4,1": ["Matrix DVD", "A mug"],
        "ids=3": ["Tron DVD"],
        "ids=3,3,%203,+3": ["Tron DVD"],
        "ids=5,9223372036854775807": [],
        "name=dvd": ["Matrix DVD", "Tron DVD"],
        "name=dvd&in_stock=true": ["Matrix DVD", "Tron DVD"],
        f"name=MATRIX&movie_id={matrix}&in_stock=true&ids=1,2,3": ["Matrix DVD"],
        "ids=1,2,3&limit=2": ["Matrix DVD", "Matrix Blu-ray"],
        "ids=1,2,3&after=1&in_stock=true": ["Tron DVD"],
    }.items():
        assert names(inventory.get(f"{PRODUCTS}?{query}")) == found, query


def test_a_thousand_products_can_be_asked_for_by_their_ids(
    inventory: FlaskClient, movies_db: Database
) -> None:
    with movies_db.read() as connection:
        rows = [{"name": f"{n}", "price": 1} for n in range(1001)]
        connection.execute(insert(Product), rows)
    ids = ",".join(str(id) for id in range(2, 1002))
    response = inventory.get(f"{PRODUCTS}?ids={ids}&limit=1000")
    assert names(response) == [f"{n}" for n in range(1, 1001)]
    assert "Link" not in response.headers
    assert len(names(inventory.get(f"{PRODUCTS}?ids={ids}"))) == 100


@BOTH
def test_a_list_can_be_walked_to_its_end_over_the_links(
    inventory: FlaskClient, movies_db: Database, path: str
) -> None:
    rows = [{"name": f"Éa & {n}", "price": 1, "stock": 1} for n in range(25)]
    with movies_db.read() as connection:
        connection.execute(insert(Product), rows)
        connection.execute(insert(Product), [{"name": "another", "price": 1, "stock": 1}])
    ids = ",".join(str(id) for id in range(1, 27))
    found, sizes = [], []
    target = f"{path}?name=%C3%A9A%20%26&in_stock=true&ids={ids}&limit=10"
    while target:
        assert target.startswith(f"{path}?")
        response = inventory.get(target)
        found += names(response)
        sizes.append(len(content(response)))
        target = response.headers.get("Link", "<>").partition(">")[0].removeprefix("<")
    assert found == [f"Éa & {n}" for n in range(25)]
    assert sizes == [10, 10, 5]


@pytest.mark.parametrize("special", ["%", "_", "\\", "/", "%_", "\\%", "'", '"'])
def test_no_character_has_a_meaning_of_its_own_in_a_search(
    inventory: FlaskClient, special: str
) -> None:
    create(inventory, f"before {special} after")
    create(inventory, "before x after")
    for searched in (special, f"e {special} a"):
        response = inventory.get(f"{PRODUCTS}?name={quote(searched, safe='')}")
        assert names(response) == [f"before {special} after"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(made=st.lists(SIGNS.filter(str.strip), min_size=1, max_size=8), searched=SIGNS)
def test_a_search_finds_exactly_the_names_that_contain_the_text(
    inventory: FlaskClient, movies_db: Database, made: list[str], searched: str
) -> None:
    with movies_db.read() as connection:
        connection.execute(text("DELETE FROM products"))
        connection.execute(insert(Product), [{"name": name, "price": 1} for name in made])
    expected = [name for name in made if searched.lower() in name.lower()]
    response = inventory.get(f"{PRODUCTS}?name={quote(searched, safe='')}")
    assert names(response) == expected


@pytest.mark.parametrize(
    ("search", "index"),
    [
        ({"name": "0119"}, "products_name_trigrams"),
        ({"movie_id": 7}, "products_of_movie"),
        ({"ids": [4, 7]}, "products_pkey"),
        ({"in_stock": True, "after": 5000}, "products_pkey"),
    ],
    ids=["name", "movie_id", "ids", "page"],
)
def test_a_selective_filter_uses_its_index(
    inventory: FlaskClient, movies_db: Database, search: dict[str, Any], index: str
) -> None:
    nothing = dict.fromkeys(("name", "movie_id", "in_stock", "ids", "after"))
    with movies_db.read() as connection:
        fill = text("INSERT INTO movies (title) SELECT 'x' FROM generate_series(1, 1000)")
        connection.execute(fill)
        fill = text(
            "INSERT INTO products (name, price, stock, movie_id) "
            "SELECT md5(n::text) || n, 1, n % 3, 1 + n % 1000 FROM generate_series(1, 20000) n"
        )
        connection.execute(fill)
        connection.execute(text("VACUUM ANALYZE products"))
        sent: list[tuple[str, Any]] = []
        event.listen(
            connection, "before_cursor_execute", lambda *args: sent.append((args[2], args[3]))
        )
        assert products.find(connection, **{**nothing, **search, "limit": 101})
        statement, parameters = sent[0]
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
        assert index in "\n".join(plan)


@pytest.mark.parametrize("values", ["('', 1)", "(NULL, 1)", "('A', -0.01)", "('A', NULL)"])
def test_the_schema_itself_refuses_a_product_that_is_none(movies_db: Database, values: str) -> None:
    with movies_db.read() as connection, pytest.raises(IntegrityError):
        connection.execute(text(f"INSERT INTO products (name, price) VALUES {values}"))


def test_the_schema_itself_refuses_a_negative_stock(movies_db: Database) -> None:
    with movies_db.read() as connection, pytest.raises(IntegrityError):
        connection.execute(text("INSERT INTO products (name, price, stock) VALUES ('A', 1, -1)"))


def test_deleting_a_movie_leaves_its_products_without_one(inventory: FlaskClient) -> None:
    matrix, tron = (create_movie(inventory, title)["id"] for title in ("The Matrix", "Tron"))
    editions = [create(inventory, movie_id=matrix), create(inventory, movie_id=matrix)]
    others = [create(inventory, movie_id=tron), create(inventory)]
    assert inventory.delete(f"{MOVIES}/{matrix}").status_code == 200
    left = [{**product, "movie_id": None} for product in editions]
    assert inventory.get(PRODUCTS).json == left + others


def test_deleting_all_movies_leaves_all_products_without_one(inventory: FlaskClient) -> None:
    made = [
        create(inventory, movie_id=create_movie(inventory, title)["id"]) for title in ("A", "B")
    ]
    assert inventory.delete(MOVIES).json == {"deleted": 2}
    assert inventory.get(PRODUCTS).json == [{**product, "movie_id": None} for product in made]


def test_a_movie_that_is_deleted_while_a_product_comes_to_be_its_edition_is_no_products_movie(
    inventory: FlaskClient, movies_db: Database
) -> None:
    app = inventory.application
    product = create(inventory)["id"]

    def refer(way: int, movie: int) -> int:
        client = app.test_client()
        if way == 0:
            return client.post(PRODUCTS, json={**DVD, "movie_id": movie}).status_code
        return client.put(f"{PRODUCTS}/{product}", json={"movie_id": movie}).status_code

    with ThreadPoolExecutor(3) as pool:
        for turn in range(20):
            movie = create_movie(inventory, "The Matrix")["id"]
            target = MOVIES if turn % 2 else f"{MOVIES}/{movie}"
            deleted = pool.submit(app.test_client().delete, target)
            referred = pool.map(refer, range(2), [movie] * 2)
            assert set(referred) <= {200, 201, 422}
            assert deleted.result().status_code == 200
    assert {row["movie_id"] for row in stored(movies_db)} == {None}


@pytest.mark.parametrize("all_of_them", [True, False])
def test_a_product_may_go_from_one_movie_to_another_while_both_are_deleted(
    inventory: FlaskClient, movies_db: Database, all_of_them: bool
) -> None:
    keys = [create(inventory)["id"] for _ in range(2)]
    barrier = threading.Barrier(4)

    def ask(method: str, path: str, body: object) -> int:
        client = inventory.application.test_client()
        barrier.wait()
        return client.open(path, method=method, json=body).status_code

    with ThreadPoolExecutor(4) as pool:
        for _ in range(15):
            movies = [create_movie(inventory, "The Matrix")["id"] for _ in range(2)]
            for key, movie in zip(keys, movies, strict=True):
                inventory.put(f"{PRODUCTS}/{key}", json={"movie_id": movie})
            paths = [MOVIES] * 2 if all_of_them else [f"{MOVIES}/{movie}" for movie in movies]
            deleted = [pool.submit(ask, "DELETE", path, None) for path in paths]
            changes = zip(keys, movies[::-1], strict=True)
            changed = [
                pool.submit(ask, "PUT", f"{PRODUCTS}/{key}", {"movie_id": movie})
                for key, movie in changes
            ]
            assert {answer.result() for answer in changed} <= {200, 422}
            assert {answer.result() for answer in deleted} == {200}
    assert {row["movie_id"] for row in stored(movies_db)} == {None}


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
def test_a_delta_beyond_what_there_can_be_is_a_409_that_says_how_much_there_is(
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


def test_a_body_of_stock_knows_nothing_but_a_delta(inventory: FlaskClient) -> None:
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


def test_deltas_at_once_are_all_counted(inventory: FlaskClient) -> None:
    create(inventory, stock=100)
    answers = at_once(inventory, lambda c, n: adjust(c, 1, 3 if n % 2 else -1).status_code, 200)
    assert answers == {200: 200}
    assert content(inventory.get(f"{PRODUCTS}/1"))["stock"] == 100 + 100 * 3 - 100


def test_of_many_that_take_the_last_copies_at_once_so_many_get_one(
    inventory: FlaskClient,
) -> None:
    create(inventory, stock=37)
    assert at_once(inventory, lambda c, _n: adjust(c, 1, -1).status_code, 100) == {200: 37, 409: 63}
    assert content(inventory.get(f"{PRODUCTS}/1"))["stock"] == 0
