"""What the tests of the whole stack begin with."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
import requests

from tests.support.readiness import LOCK_MOVIES, ready
from tests.support.stack.bills_client import Bills
from tests.support.stack.orders import Orders
from tools.stack.servers.databases import connect
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tutorial come first: it is for a new stack, which the other tests then share."""
    items.sort(key=lambda item: item.path.name != "test_tutorial.py")


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
