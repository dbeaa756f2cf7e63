"""Products that are editions of movies, which may be deleted."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from chassis.storage.database import Database
from tests.support.movies_api import MOVIES
from tests.support.movies_api import create as create_movie
from tests.support.products_api import DVD, PRODUCTS, create, stored


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


def test_a_movie_deleted_while_a_product_is_assigned_to_it_has_no_product(
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
