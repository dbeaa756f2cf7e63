"""Customers and their events under faults: the events are the changes, no more and no less."""

import random
from collections.abc import Iterator

import pytest
import requests

from tests.support.outages import killed
from tests.support.readiness import ready
from tests.support.stack.customers import Customer, Customers
from tests.support.stack.listener import Listener
from tools.stack import variables
from tools.stack.layout import PROCESSES
from tools.stack.process_lookup import kill
from tools.stack.stack import Stack
from tools.stack.waiting import wait_for, wait_until

API = next(process for process in PROCESSES if process.name == "customers-api")
BEN = {"name": "Benjamin", "email": "ben@kawa.fr", "company": "Kawa Corp", "phone": "0601020304"}


@pytest.fixture
def customers(stack: Stack) -> Iterator[Customers]:
    """Changes customers, of whom there is none at the start; everything runs."""
    customers = Customers(stack)
    customers.wait_until_all_is_told()
    customers.clear()
    yield customers
    wait_until(lambda: ready(stack), 60, "the stack to be whole again")


@pytest.fixture
def listener(stack: Stack, customers: Customers) -> Iterator[Listener]:
    """A queue that gets the events of the customers."""
    listener = Listener(stack, "tests-customer-events")
    listener.bind("customer_events")
    yield listener
    listener.remove()


@pytest.fixture
def strict(stack: Stack) -> Iterator[None]:
    """Have customers-api in strict mode."""
    restart_with(stack, EVENTS_STRICT="true")
    yield
    restart_with(stack)


def restart_with(stack: Stack, **changed: str) -> None:
    """Restart customers-api with other variables."""
    stack.env_file.write_text(variables.render(stack.variables | changed))
    stack.process_manager.call("restart", API.name)
    is_strict = "EVENTS_STRICT" in changed
    wait_until(lambda: all_are(stack, is_strict), 30, "customers-api to be ready")


def all_are(stack: Stack, strict: bool) -> bool:
    """Whether all workers are ready, and in strict mode or not.

    One whose master was killed in a test before may have requests to end.
    """
    checks = (stack.checks(API) for _ in range(20))
    return all(found is not None and ("rabbitmq" in found) == strict for found in checks)


@pytest.mark.parametrize("name", ["customers", "clients"])
def test_a_customer_is_created_found_changed_and_deleted_and_each_change_is_announced(
    stack: Stack, customers: Customers, listener: Listener, name: str
) -> None:
    url = f"{stack.url}/api/{name}"
    created = requests.post(url, json=BEN, timeout=10)
    ben = created.json()
    assert created.status_code == 201
    assert ben == BEN | {"id": ben["id"], "version": 1}
    assert requests.post(url, json=BEN | {"email": "BEN@kawa.fr"}, timeout=10).status_code == 409
    assert requests.get(url, timeout=10).json() == [ben]
    assert requests.get(f"{url}/?name=jam", timeout=10).json() == [ben]
    one = f"{url}/{ben['id']}"
    changed = requests.put(one, json={"name": "Benjamin Updated"}, timeout=10)
    assert changed.json() == ben | {"name": "Benjamin Updated", "version": 2}
    assert requests.delete(one, timeout=10).json() == changed.json()
    assert requests.get(one, timeout=10).status_code == 404
    listener.wait_for(3)
    events = [(event["type"], event["source"]) for event in listener.events.values()]
    acts = ("created", "updated", "deleted")
    assert events == [(f"customer.{act}", "customer-api") for act in acts]
    data = [event["data"] for event in listener.events.values()]
    assert data == [ben, changed.json(), changed.json() | {"version": 3}]


def test_hundreds_of_changes_without_a_broker_succeed_and_are_announced_when_it_is_back(
    stack: Stack, customers: Customers, listener: Listener
) -> None:
    try:
        with customers.traffic(8):
            customers.wait_for_done(50)
            stack.rabbitmq.stop()
            customers.wait_for_done(300)
    finally:
        stack.rabbitmq.start()
    assert not customers.refused
    assert not customers.unsure
    listener.wait_for(len(customers.done))
    customers.agree_with(listener)
    assert len(listener.events) == len(customers.done)


def test_kills_of_api_and_relay_at_random_moments_leave_as_many_events_as_changes(
    stack: Stack, customers: Customers, listener: Listener
) -> None:
    chance = random.Random(4)
    victims = ["customers-api", "customers-relay"] * 2
    chance.shuffle(victims)
    with customers.traffic(8):
        for victim in victims:
            customers.wait_for_done(chance.randrange(1, 50))
            kill(stack, victim)
        customers.wait_for_done(30)
    customers.wait_until_all_is_told()
    # also those of changes that nobody is sure of
    listener.receive_all()
    customers.agree_with(listener)


def test_in_strict_mode_without_a_broker_every_change_fails_and_none_is_stored(
    stack: Stack, customers: Customers, listener: Listener, strict: None
) -> None:
    ben = create_ben(customers)
    one = f"{customers.url}/{ben['id']}"
    with killed(stack.rabbitmq):
        for method, url in (("POST", customers.url), ("PUT", one), ("DELETE", one)):
            body = None if method == "DELETE" else {"name": "Another", "email": "another@kawa.fr"}
            answer = requests.request(method, url, json=body, timeout=10)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Content-Type"].startswith("application/problem+json")
            assert answer.json()["cause"].startswith("broker")
        assert customers.rows() == {ben["id"]: ben}
        assert requests.get(one, timeout=10).json() == ben
    wait_until(lambda: requests.delete(one, timeout=10).ok, 30, "a change to be confirmed again")
    assert customers.rows() == {}
    listener.receive_all()
    assert {event["data"]["email"] for event in listener.events.values()} == {BEN["email"]}
    told = [e["type"] for e in listener.events.values() if e["data"]["id"] == ben["id"]]
    # a change that is confirmed too late is rolled back, and announced again when it is made
    assert told[0] == "customer.created"
    assert set(told[1:]) == {"customer.deleted"}


def create_ben(customers: Customers) -> Customer:
    """Create him as soon as the worker that is asked has its connection to the broker."""
    ben: Customer = wait_for(
        lambda: requests.post(customers.url, json=BEN, timeout=10),
        lambda answer: answer.status_code == 201,
        30,
        "a change to be confirmed",
    ).json()
    return ben
