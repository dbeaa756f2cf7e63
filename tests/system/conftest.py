"""What the tests of the whole stack begin with."""

import re
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
import requests

from tests.system.client import Bills
from tests.system.orders import Orders
from tools.stack.layout import PROCESSES
from tools.stack.servers.databases import connect
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

LOCK_MOVIES = "LOCK TABLE movies IN ACCESS EXCLUSIVE MODE"


@pytest.fixture
def bills(stack: Stack) -> Iterator[Bills]:
    """Posts bills and knows what became of them; everything runs and is empty at the start."""
    bills = Bills(stack)
    bills.settle()
    bills.clear()
    yield bills
    wait_until(lambda: ready(stack), 60, "the stack to be whole again")


@pytest.fixture
def orders(stack: Stack) -> Iterator[Orders]:
    """Places orders of a new customer; everything runs, and nothing is among the dead letters."""
    orders = Orders(stack)
    orders.purge_dead_letters()
    yield orders
    wait_until(lambda: ready(stack), 60, "the stack to be whole again")


def ready(stack: Stack) -> bool:
    """Whether every process says that it is ready, and the gateway asks all of them."""
    return all(stack.is_ready(process) for process in PROCESSES) and _passes_on(stack)


def _passes_on(stack: Stack) -> bool:
    """Whether all circuits are closed; a request to each service gives those a chance to close."""
    headers = {"Authorization": f"Bearer {stack.variables['API_TOKEN']}"}
    for name in ("movies", "customers", "orders", "billing"):
        requests.get(f"{stack.url}/api/{name}?limit=1", headers=headers, timeout=20)
    metrics = requests.get(f"{stack.url}/metrics", timeout=20).text
    return not re.search(r"^upstream_circuit_state\{.*\} [12]", metrics, re.MULTILINE)


@pytest.fixture
def movies(stack: Stack) -> Iterator[str]:
    """The address of the movies, which are none at the start."""
    address = f"{stack.url}/api/movies"
    requests.delete(address, timeout=10).raise_for_status()
    yield address


@pytest.fixture
def locked_movies(stack: Stack) -> Iterator["psycopg2.extensions.connection"]:
    """A connection that holds the table of movies, so that reading it waits until its rollback."""
    with closing(connect(stack, "inventory")) as connection:
        connection.cursor().execute(LOCK_MOVIES)
        yield connection
