#!/usr/bin/env python3
"""Fill a platform with the sample data through its gateway; existing things are kept.

    python3 sample-data/seed.py --url http://localhost:8080 --orders orders-to-import.csv

It needs only Python, so that it runs on the machines and on their host. The sample's orders are old
ones with their own times and states, which the API does not accept; so this program writes them to
a file for `python -m orders import`, with the customers' ids on this platform.
"""

import argparse
import csv
import json
import os
import sys
import time
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

HERE = Path(__file__).parent
_ATTEMPTS, _SECONDS = 10, 10.0
_TRY_AGAIN = {429, 502, 503, 504}
Document = dict[str, Any]


class SeedError(Exception):
    """The platform does not accept the sample data."""


class Found(NamedTuple):
    """The id of a thing, and whether it was just created."""

    id: int
    is_new: bool


class Platform:
    """The platform's API."""

    def __init__(self, url: str, token: str) -> None:
        """Prepare calls of the API.

        Args:
            url: of the gateway.
            token: for routes that need one; empty for none.
        """
        self._url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        # a proxy in the environment is for outside addresses
        self._opener = build_opener(ProxyHandler({}))

    def find_or_create(self, kind: str, field: str, document: Document) -> Found:
        """Return the thing of this kind with the same value of `field`; create it if there is none.

        Raises:
            SeedError: the API refuses.
        """
        query = urlencode({field: document[field], "limit": 1000})
        for known in self._ask("GET", f"/api/{kind}?{query}"):
            if known[field] == document[field]:
                return Found(known["id"], False)
        return Found(self._ask("POST", f"/api/{kind}", document)["id"], True)

    def _ask(self, method: str, path: str, document: Document | None = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        reason = ""
        for _ in range(_ATTEMPTS):
            request = Request(self._url + path, data, self._headers, method=method)
            try:
                with self._opener.open(request, timeout=_SECONDS) as response:
                    return json.load(response)
            except HTTPError as error:
                with error:
                    reason = f"{error.code} {error.read().decode(errors='replace').strip()}"
                if error.code not in _TRY_AGAIN:
                    break
                # the gateway says whole seconds
                time.sleep(float(error.headers.get("Retry-After") or 1))
            except (URLError, OSError) as error:
                raise SeedError(f"{self._url} does not answer: {error}") from None
        raise SeedError(f"{method} {path}: {reason}")


def read(name: str) -> Any:
    """Read a file of the sample; its text is normalized to NFC, as the services store it.

    Raises:
        SeedError: an object has a duplicate name.
    """
    text = unicodedata.normalize("NFC", (HERE / name).read_text(encoding="utf-8-sig"))
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: Sequence[tuple[str, Any]]) -> Document:
    """Make an object; a duplicate name is an error, since either value could be meant."""
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise SeedError(f"{twice} is a duplicate name in {document}")
    return document


def seed(platform: Platform) -> dict[str, list[Found]]:
    """Create the missing movies, products and customers; returns all, by kind.

    Raises:
        SeedError: the API refuses.
    """
    movies = {
        movie["title"]: platform.find_or_create("movies", "title", movie)
        for movie in read("movies.json")
    }
    products = []
    for product in read("products.json"):
        title = product.pop("movie", None)
        edition = {} if title is None else {"movie_id": movies[title].id}
        products.append(platform.find_or_create("products", "name", product | edition))
    customers = [
        platform.find_or_create("customers", "email", customer)
        for customer in read("customers.json")
    ]
    return {"movies": list(movies.values()), "products": products, "customers": customers}


def write_orders(path: Path, customers: Sequence[Found]) -> int:
    """Write the sample's orders; their customers' positions in the sample become ids.

    Returns: the number of orders.
    """
    with open(HERE / "orders.csv", newline="", encoding="utf-8") as source:
        orders = list(csv.DictReader(source))
    with open(path, "w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, list(orders[0]))
        writer.writeheader()
        for order in orders:
            customer = customers[int(order["customer_id"]) - 1]
            writer.writerow(order | {"customer_id": customer.id})
    return len(orders)


def arguments(environment: Mapping[str, str]) -> argparse.Namespace:
    """Read the command line; defaults come from the environment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    url = environment.get("GATEWAY_URL", "http://localhost:8080")
    parser.add_argument("--url", default=url, help=f"of the gateway (GATEWAY_URL; now {url})")
    parser.add_argument(
        "--token",
        default=environment.get("API_TOKEN", ""),
        help="for routes that need one (better in API_TOKEN: other users can see a command line)",
    )
    parser.add_argument("--orders", type=Path, metavar="FILE", help="write the orders to import")
    return parser.parse_args()


def main() -> None:
    """Seed, and print what was created."""
    given = arguments(os.environ)
    try:
        made = seed(Platform(given.url, given.token))
    except SeedError as error:
        sys.exit(f"seed: {error}")
    for kind, things in made.items():
        new = sum(thing.is_new for thing in things)
        sys.stdout.write(f"{kind}: {new} made, {len(things) - new} were there\n")
    if given.orders is not None:
        count = write_orders(given.orders, made["customers"])
        sys.stdout.write(f"orders: {count} to import in {given.orders}\n")


if __name__ == "__main__":
    main()
