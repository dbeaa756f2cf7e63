"""Finding products: pages, filters, searches."""

from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, text
from werkzeug.test import TestResponse

from chassis.storage.database import Database
from inventory import models, products
from tests.support.answers import content, fields, walked
from tests.support.examples import examples
from tests.support.movies_api import SIGNS
from tests.support.movies_api import create as create_movie
from tests.support.products_api import BOTH, PRODUCTS, PRODUITS, create
from tests.support.statements import plan_of, statements_of


def names(response: TestResponse) -> list[str]:
    """The names in a list."""
    assert response.status_code == 200, response.text
    return [product["name"] for product in content(response)]


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
    with movies_db.autocommit() as connection:
        rows = [{"name": f"{n}", "price": 1} for n in range(1001)]
        connection.execute(insert(models.products), rows)
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
    with movies_db.autocommit() as connection:
        connection.execute(insert(models.products), rows)
        connection.execute(insert(models.products), [{"name": "another", "price": 1, "stock": 1}])
    ids = ",".join(str(id) for id in range(1, 27))
    found, sizes = [], []
    target = f"{path}?name=%C3%A9A%20%26&in_stock=true&ids={ids}&limit=10"
    for response in walked(inventory, target):
        found += names(response)
        sizes.append(len(content(response)))
    assert found == [f"Éa & {n}" for n in range(25)]
    assert sizes == [10, 10, 5]


@pytest.mark.parametrize("special", ["%", "_", "\\", "/", "%_", "\\%", "'", '"'])
def test_no_character_is_special_in_a_search(inventory: FlaskClient, special: str) -> None:
    create(inventory, f"before {special} after")
    create(inventory, "before x after")
    for searched in (special, f"e {special} a"):
        response = inventory.get(f"{PRODUCTS}?name={quote(searched, safe='')}")
        assert names(response) == [f"before {special} after"]


@examples(20)
@given(made=st.lists(SIGNS.filter(str.strip), min_size=1, max_size=8), searched=SIGNS)
def test_a_search_finds_exactly_the_names_that_contain_the_text(
    inventory: FlaskClient, movies_db: Database, made: list[str], searched: str
) -> None:
    with movies_db.autocommit() as connection:
        connection.execute(text("DELETE FROM products"))
        connection.execute(insert(models.products), [{"name": name, "price": 1} for name in made])
    expected = [name for name in made if searched.lower() in name.lower()]
    response = inventory.get(f"{PRODUCTS}?name={quote(searched, safe='')}")
    assert names(response) == expected


SELECTIVE: list[tuple[dict[str, Any], str]] = [
    ({"name": "0119"}, "products_name_trigrams"),
    ({"movie_id": 7}, "products_of_movie"),
    ({"ids": [4, 7]}, "products_pkey"),
    ({"in_stock": True, "after": 5000}, "products_pkey"),
]


def test_a_selective_filter_uses_its_index(movies_db: Database) -> None:
    nothing = dict.fromkeys(("name", "movie_id", "in_stock", "ids", "after"))
    with movies_db.autocommit() as connection:
        fill = text("INSERT INTO movies (title) SELECT 'x' FROM generate_series(1, 1000)")
        connection.execute(fill)
        fill = text(
            "INSERT INTO products (name, price, stock, movie_id) "
            "SELECT md5(n::text) || n, 1, n % 3, 1 + n % 1000 FROM generate_series(1, 20000) n"
        )
        connection.execute(fill)
        connection.execute(text("VACUUM ANALYZE products"))
        for search, index in SELECTIVE:
            with statements_of(connection) as sent:
                assert products.find(connection, **{**nothing, **search, "limit": 101})
            assert index in plan_of(connection, sent[0]), search
