"""An inventory that hangs takes what needs it, and nothing else: orders and inventory as processes.

What is asserted is an order of things, not their times: reads are answered while posts still wait.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from chassis.settings import DatabaseSettings
from chassis.storage.database import Database
from tests.support.process import database_variables
from tests.support.served import Served, inventory_variables, no_broker, serving
from tools.stack import processes

POSTERS, READERS, READS = 64, 4, 20
Settings = Callable[[str], DatabaseSettings]


@pytest.fixture
def inventory(movies_db: Database, database_settings: Settings, tmp_path: Path) -> Iterator[Served]:
    """inventory-api with one product."""
    with movies_db.autocommit() as connection:
        columns = "INSERT INTO products (name, price, stock) VALUES ('Tron', 20, 1000000)"
        connection.execute(text(columns))
    variables = inventory_variables(database_settings("inventory"))
    with serving("inventory", variables, tmp_path) as served:
        yield served


@pytest.fixture
def orders(
    inventory: Served, orders_db: Database, database_settings: Settings, tmp_path: Path
) -> Iterator[Served]:
    """orders-api before that inventory, with as many threads as by default."""
    variables = {
        **database_variables("orders", database_settings("orders")),
        **no_broker(),
        "BILLING_VM_IP": "127.0.0.1",
        "CUSTOMERS_VM_IP": "127.0.0.1",
        "INVENTORY_VM_IP": "127.0.0.1",
        "INVENTORY_API_PORT": str(inventory.port),
    }
    with serving("orders", variables, tmp_path) as served:
        yield served


@contextmanager
def frozen(served: Served) -> Iterator[None]:
    """Freeze a server and its workers for a block."""
    family = processes.family(served.process.pid)
    processes.freeze(family)
    try:
        yield
    finally:
        processes.thaw(family)


def post(orders: Served) -> requests.Response:
    """Order the product."""
    body = {"customer_id": "1", "items": [{"product_id": 1, "quantity": 1}]}
    return requests.post(f"{orders.url}/api/orders", json=body, timeout=60)


def cause(response: requests.Response) -> Any:
    """Why it was refused, or its status."""
    return response.status_code if response.ok else response.json()["cause"]


class Posters:
    """Clients that post orders again and again for a block."""

    def __init__(self, orders: Served, count: int) -> None:
        self.causes: Counter[Any] = Counter()
        self._orders = orders
        self._count = count
        self._end = threading.Event()

    def _work(self) -> None:
        while not self._end.is_set():
            self.causes[cause(post(self._orders))] += 1

    @contextmanager
    def at_work(self) -> Iterator["Posters"]:
        """Post for a block."""
        with ThreadPoolExecutor(self._count) as pool:
            futures = [pool.submit(self._work) for _ in range(self._count)]
            try:
                yield self
            finally:
                self._end.set()
        for future in futures:
            future.result()


def read(orders: Served) -> Counter[int]:
    """Read the orders so often, each time over a new connection."""
    get = requests.get
    return Counter(get(f"{orders.url}/api/orders", timeout=60).status_code for _ in range(READS))


def test_reads_of_orders_are_answered_while_64_posters_wait_for_a_frozen_inventory(
    inventory: Served, orders: Served
) -> None:
    assert post(orders).status_code == 201
    readers = ThreadPoolExecutor(READERS)
    with frozen(inventory), Posters(orders, POSTERS).at_work() as posters, readers:
        answers = list(readers.map(read, [orders] * READERS))
    assert sum(answers, Counter()) == {200: READERS * READS}
    assert posters.causes.keys() <= {"timeout", "circuit_open", "upstream_busy"}
