"""The sample data, seeded through the real APIs of inventory and customers, and imported."""

import csv
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask.testing import FlaskClient

from orders.imports.files import check, read
from tests.support.mailing import served
from tests.support.process import ROOT
from tests.support.raw_upstream import RawUpstream, answering
from tools.stack.ports import free_port

SAMPLES = ROOT / "sample-data"


@pytest.fixture
def seed(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program, which is no part of a package."""
    specification = importlib.util.spec_from_file_location("seed", SAMPLES / "seed.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "seed", module)
    specification.loader.exec_module(module)
    yield module


@pytest.fixture
def url(inventory: FlaskClient, customers: FlaskClient) -> Iterator[str]:
    """Where the APIs are served at one address, as by the gateway."""

    def app(environment: dict[str, Any], start: Any) -> Iterable[bytes]:
        ours = environment["PATH_INFO"].startswith("/api/customers")
        service = customers if ours else inventory
        return service.application(environment, start)

    port = free_port()
    served_app: Any = app
    with served(served_app, port):
        yield f"http://127.0.0.1:{port}"


def test_a_repeated_name_in_the_sample_is_refused(
    seed: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed, "HERE", tmp_path)
    (tmp_path / "movies.json").write_text('[{"title": "A"}, {"title": "A", "title": "B"}]')
    with pytest.raises(seed.SeedError, match="title is a duplicate name"):
        seed.read("movies.json")


def test_the_sample_may_begin_with_a_byte_order_mark_and_have_text_in_any_form(
    seed: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed, "HERE", tmp_path)
    (tmp_path / "movies.json").write_text('[{"title": "Ame\u0301lie"}]', encoding="utf-8-sig")
    assert seed.read("movies.json") == [{"title": "Am\u00e9lie"}]


def test_seeding_twice_makes_each_thing_once(seed: ModuleType, url: str) -> None:
    first = seed.seed(seed.Platform(url, ""))
    second = seed.seed(seed.Platform(url, "a-token"))
    for kind, things in first.items():
        sample = json.loads((SAMPLES / f"{kind}.json").read_text())
        assert len(things) == len(sample)
        assert all(thing.is_new for thing in things)
        assert [thing.id for thing in second[kind]] == [thing.id for thing in things]
        assert not any(thing.is_new for thing in second[kind])


def test_products_are_editions_of_the_movies_that_they_name(
    seed: ModuleType, url: str, inventory: FlaskClient
) -> None:
    seed.seed(seed.Platform(url, ""))
    movies = {one["title"]: one["id"] for one in inventory.get("/api/movies").get_json()}
    made = {one["name"]: one["movie_id"] for one in inventory.get("/api/products").get_json()}
    for product in json.loads((SAMPLES / "products.json").read_text()):
        assert made[product["name"]] == movies.get(product.get("movie"))


def test_the_orders_to_import_have_the_ids_that_the_customers_have_here(
    seed: ModuleType, url: str, customers: FlaskClient, tmp_path: Path
) -> None:
    customers.post("/api/customers", json={"name": "Earlier", "email": "earlier@kawa.fr"})
    made = seed.seed(seed.Platform(url, ""))
    count = seed.write_orders(tmp_path / "orders.csv", made["customers"])
    orders = list(check(read(tmp_path / "orders.csv")))
    with open(SAMPLES / "orders.csv", newline="") as file:
        sample = list(csv.DictReader(file))
    assert len(orders) == count == len(sample)
    for order, row in zip(orders, sample, strict=True):
        assert int(order.customer_id) == made["customers"][int(row["customer_id"]) - 1].id
        assert order.customer_id != row["customer_id"]


def test_an_unavailable_or_refusing_platform_is_reported_in_one_sentence(
    seed: ModuleType, url: str
) -> None:
    with pytest.raises(seed.SeedError, match="does not answer"):
        seed.seed(seed.Platform(f"http://127.0.0.1:{free_port()}", ""))
    with pytest.raises(seed.SeedError, match="POST /api/movies: 422"):
        seed.Platform(url, "").find_or_create("movies", "title", {"title": " "})


def test_a_platform_that_is_busy_is_asked_again(seed: ModuleType) -> None:
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    there = b'[{"id": 7, "title": "Metropolis"}]'
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(there)}\r\n\r\n".encode()
    server = RawUpstream([answering(busy, close=True), answering(head + there, close=True)])
    platform = seed.Platform(f"http://127.0.0.1:{server.port}", "")
    try:
        found = platform.find_or_create("movies", "title", {"title": "Metropolis"})
    finally:
        server.close()
    assert found == (7, False)
