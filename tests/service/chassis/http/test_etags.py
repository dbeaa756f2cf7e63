"""ETags of movies and products: who has the answer already does not get it again."""

import re
from collections.abc import Callable, Iterator

import pytest
import requests
from flask.testing import FlaskClient

from chassis.settings import DatabaseSettings
from chassis.storage.database import Database
from tests.support.served import gateway_variables, inventory_variables, serving

NEW = {
    "/api/movies": {"title": "Tron", "description": "Inside."},
    "/api/products": {"name": "Tron, DVD", "price": 9.99, "stock": 3},
    "/api/produits": {"name": "Tron, DVD", "price": 9.99, "stock": 3},
}
STRONG = re.compile(r'"[0-9a-f]{24}"')


@pytest.fixture
def filled(inventory: FlaskClient) -> FlaskClient:
    """A client of inventory with three movies and three products."""
    for _ in range(3):
        for path in ("/api/movies", "/api/products"):
            assert inventory.post(path, json=NEW[path]).status_code == 201
    return inventory


@pytest.mark.parametrize("path", NEW)
@pytest.mark.parametrize("below", ["", "?limit=2", "/1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_client_with_the_current_etag_gets_304(
    filled: FlaskClient, path: str, below: str, method: str
) -> None:
    first = filled.open(path + below, method=method)
    tag = first.headers["ETag"]
    assert first.status_code == 200 and STRONG.fullmatch(tag)
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = filled.open(path + below, method=method, headers={"If-None-Match": known})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers.get("Link") == first.headers.get("Link")
        assert "Content-Type" not in again.headers and "Content-Length" not in again.headers


@pytest.mark.parametrize("known", ['"other"', ' , "other",,"a,b"', 'W/"other"'])
def test_a_client_with_another_etag_gets_the_answer(filled: FlaskClient, known: str) -> None:
    answer = filled.get("/api/movies/1", headers={"If-None-Match": known})
    assert answer.status_code == 200 and b"Tron" in answer.data


@pytest.mark.parametrize("path", NEW)
def test_a_change_changes_the_etags_of_everything_that_shows_it(
    filled: FlaskClient, path: str
) -> None:
    before = {below: filled.get(path + below).headers["ETag"] for below in ("", "/1", "/2")}
    name = "title" if path == "/api/movies" else "name"
    assert filled.put(f"{path}/1", json={name: "Tron: Legacy"}).status_code == 200
    after = {below: filled.get(path + below).headers["ETag"] for below in before}
    assert [before[below] == after[below] for below in before] == [False, False, True]


def test_a_missing_or_deleted_resource_has_no_etag(filled: FlaskClient) -> None:
    assert "ETag" not in filled.delete("/api/movies/1").headers
    missing = filled.get("/api/movies/99", headers={"If-None-Match": "*"})
    assert missing.status_code == 404 and "ETag" not in missing.headers


@pytest.fixture
def url(
    movies_db: Database,
    filled: FlaskClient,
    gateway_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of a gateway before a real inventory."""
    home = tmp_path_factory.mktemp("etags")
    with serving("inventory", inventory_variables(database_settings("inventory")), home) as behind:
        variables = gateway_variables(database_settings("gateway"), inventory=behind.port)
        with serving("gateway", variables, home) as gateway:
            yield gateway.url


def test_it_is_the_same_through_the_gateway(url: str) -> None:
    with requests.Session() as session:
        for path in ("/api/movies?limit=2", "/api/products/1"):
            first = session.get(url + path, timeout=30)
            known = {"If-None-Match": first.headers["ETag"]}
            for method in ("GET", "HEAD"):
                again = session.request(method, url + path, headers=known, timeout=30)
                assert (again.status_code, again.content) == (304, b"")
                assert again.headers["ETag"] == first.headers["ETag"]
                assert again.headers.get("Link") == first.headers.get("Link")
                assert "Content-Length" not in again.headers
            assert session.get(url + path, timeout=30).content == first.content
