"""`GET /api/status` on the whole stack: what it says when all is well, and when it is not."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from local.layout import PROCESSES, Process
from local.stack import Stack
from local.waiting import wait_until
from tests import openapi
from tests.system.client import Bills, connect

OPERATION = next(one for one in openapi.operations() if one.id == "getStatus")
SECONDS = 20  # that a page may wait for; on a machine of its own it is three


def status(stack: Stack) -> dict[str, Any]:
    """What the gateway says, which has to fit its description."""
    answer = requests.get(f"{stack.url}/api/status", timeout=10)
    assert answer.status_code == 200
    shown: dict[str, Any] = answer.json()
    openapi.validator(OPERATION.responses["200"]["content"]["application/json"]["schema"]).validate(
        shown
    )
    return shown


def process(stack: Stack, name: str) -> dict[str, Any]:
    """What it says of a process."""
    machines = status(stack)["machines"]
    return next(p for machine in machines for p in machine["processes"] if p["name"] == name)


def queue(stack: Stack, name: str = "billing_queue") -> dict[str, Any]:
    """What it says of a queue."""
    return next(q for q in status(stack)["queues"] if q["name"] == name)


def outbox(stack: Stack, name: str) -> dict[str, Any]:
    """What it says of an outbox."""
    return next(o for o in status(stack)["outboxes"] if o["process"] == name)


@contextmanager
def locked_bills(stack: Stack) -> Iterator[None]:
    """Let no bill be recorded meanwhile."""
    with closing(connect(stack, "billing")) as connection:
        connection.cursor().execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


@pytest.fixture
def stopped_consumer(stack: Stack, bills: Bills) -> Iterator[None]:
    """billing-consumer is stopped."""
    stack.pm2("stop", "billing-consumer")
    yield
    stack.pm2("restart", "billing-consumer")


def test_all_is_up_when_it_is(stack: Stack, bills: Bills) -> None:
    wait_until(lambda: status(stack)["status"] == "up", 60, "all to be up")
    shown = status(stack)
    names = [p["name"] for machine in shown["machines"] for p in machine["processes"]]
    assert sorted(names) == sorted(process.name for process in PROCESSES)
    assert (shown["platform"], shown["unavailable"], shown["protected"]) == ("stack", [], [])


def test_a_stopped_consumer_is_seen_and_what_waits_for_it(
    stack: Stack, bills: Bills, stopped_consumer: None
) -> None:
    wait_until(lambda: process(stack, "billing-consumer")["status"] == "down", SECONDS, "it down")
    assert process(stack, "billing-consumer")["detail"] == "connection refused"
    for _ in range(3):
        bills.post()
    waiting = {"ready": 3, "in_flight": 0, "dead_lettered": 0, "consumers": 0}
    wait_until(lambda: queue(stack).items() >= waiting.items(), SECONDS, "three bills to wait")
    assert status(stack)["status"] == "degraded"


def test_bills_are_shown_as_they_are_recorded(stack: Stack, bills: Bills) -> None:
    for _ in range(11):
        bills.post()
    wait_until(lambda: len(status(stack)["bills"] or ()) == 10, SECONDS, "ten bills to be shown")
    bills.wait_until_all_are_recorded()
    newest = requests.get(f"{stack.url}/api/billing?limit=10", timeout=10).json()
    wait_until(lambda: status(stack)["bills"] == newest, SECONDS, "the newest to be shown")


def test_what_two_consumers_have_in_hand_is_added_up(stack: Stack, bills: Bills) -> None:
    stack.pm2("scale", "billing-consumer", "2")
    try:
        wait_until(lambda: queue(stack)["consumers"] == 2, SECONDS, "two consumers")
        with locked_bills(stack):
            # more than one of them takes
            bills.publish_many([f"held-{number}" for number in range(300)])
            held = {"ready": 0, "in_flight": 300}
            wait_until(lambda: queue(stack).items() >= held.items(), SECONDS, "300 in flight")
    finally:
        stack.pm2("scale", "billing-consumer", "1")
    wait_until(lambda: queue(stack)["in_flight"] == 0, 60, "none in flight")


def test_without_rabbitmq_its_figures_are_null_and_all_others_are_there(
    stack: Stack, bills: Bills
) -> None:
    stack.rabbitmq.stop()
    try:
        wait_until(lambda: status(stack)["unavailable"] == ["queues"], SECONDS, "no figures")
        shown = status(stack)
        assert {q[name] for q in shown["queues"] for name in q if name != "name"} == {None}
        assert shown["rabbitmq"]["status"] == "down"
        assert isinstance(shown["orders"], dict) and isinstance(shown["bills"], list)
        bills.post()
        wait_until(lambda: outbox(stack, "gateway-relay")["backlog"] == 1, SECONDS, "a backlog")
    finally:
        stack.rabbitmq.start()
    wait_until(lambda: outbox(stack, "gateway-relay")["backlog"] == 0, 60, "an empty outbox")
    wait_until(lambda: queue(stack)["ready"] is not None, 60, "figures")


def test_without_the_gateways_own_database_it_answers(stack: Stack, bills: Bills) -> None:
    stack.postgres["gateway"].kill()
    try:
        wait_until(lambda: process(stack, "gateway")["status"] == "unready", SECONDS, "it unready")
        assert status(stack)["machines"][0]["database"]["status"] == "down"
        assert outbox(stack, "gateway-relay")["backlog"] is None
    finally:
        stack.postgres["gateway"].start()
    wait_until(lambda: process(stack, "gateway")["status"] == "ready", 60, "it to be ready")


def test_a_part_that_is_away_is_null_and_named(stack: Stack, bills: Bills) -> None:
    stack.pm2("stop", "orders-api")
    try:
        wait_until(lambda: status(stack)["unavailable"] == ["orders"], SECONDS, "no orders")
        assert status(stack)["orders"] is None
    finally:
        stack.pm2("start", "orders-api")


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_every_process_has_metrics(stack: Stack, process: Process) -> None:
    answer = requests.get(f"{stack.address(process)}/metrics", timeout=10)
    assert answer.status_code == 200
    assert list(text_string_to_metric_families(answer.text))
