"""`GET /api/status` on the whole stack: what it says when all is well, and when it is not."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support import openapi
from tests.support.outages import killed, stopped
from tests.support.stack.bills_client import Bills, locked_bills
from tools.stack import waiting
from tools.stack.layout import PROCESSES, Process
from tools.stack.stack import Stack

OPERATION = next(one for one in openapi.operations() if one.id == "getStatus")
DESCRIBED = openapi.validator(OPERATION.responses["200"]["content"]["application/json"]["schema"])
SECONDS = 20  # that a page may wait for; on a machine of its own it is three


def status(stack: Stack) -> dict[str, Any]:
    """What the gateway says."""
    answer = requests.get(f"{stack.url}/api/status", timeout=10)
    assert answer.status_code == 200
    shown: dict[str, Any] = answer.json()
    return shown


def process(shown: dict[str, Any], name: str) -> dict[str, Any]:
    """What it says of a process."""
    machines = shown["machines"]
    return next(p for machine in machines for p in machine["processes"] if p["name"] == name)


def queue(shown: dict[str, Any], name: str = "billing_queue") -> dict[str, Any]:
    """What it says of a queue."""
    return next(q for q in shown["queues"] if q["name"] == name)


def backlog(shown: dict[str, Any]) -> int | None:
    """What it says of the gateway's outbox."""
    found = next(o for o in shown["outboxes"] if o["process"] == "gateway-relay")
    return found["backlog"] if found["backlog"] is None else int(found["backlog"])


def wait_for(
    stack: Stack, condition: Callable[[dict[str, Any]], bool], what: str, seconds: float = SECONDS
) -> dict[str, Any]:
    """Wait until the status meets a condition, and return it; it has to fit its description.

    Each of its workers has looked for itself: the next answer may be another one's, a bit older.
    """
    shown = waiting.wait_for(lambda: status(stack), condition, seconds, what)
    # to validate takes longer than to answer, so not each of the answers before
    DESCRIBED.validate(shown)
    return shown


@pytest.fixture
def stopped_consumer(stack: Stack, bills: Bills) -> Iterator[None]:
    """billing-consumer is stopped."""
    stack.pm2("stop", "billing-consumer")
    yield
    stack.pm2("restart", "billing-consumer")


def test_all_is_up_when_it_is(stack: Stack, bills: Bills) -> None:
    shown = wait_for(stack, lambda seen: bool(seen["status"] == "up"), "all to be up", 60)
    names = [p["name"] for machine in shown["machines"] for p in machine["processes"]]
    assert sorted(names) == sorted(process.name for process in PROCESSES)
    assert (shown["platform"], shown["unavailable"], shown["protected"]) == ("stack", [], [])


def test_a_stopped_consumer_and_its_waiting_messages_are_shown(
    stack: Stack, bills: Bills, stopped_consumer: None
) -> None:
    # while it stops, it may give no answer
    away = {"status": "down", "detail": "connection refused"}
    wait_for(
        stack, lambda seen: process(seen, "billing-consumer").items() >= away.items(), "it down"
    )
    for _ in range(3):
        bills.post()

    def wait_there(seen: dict[str, Any]) -> bool:
        # more than three if one was confirmed late: it then comes by the outbox, too
        waiting = {"ready": bills.waiting(), "in_flight": 0, "dead_lettered": 0, "consumers": 0}
        return waiting["ready"] >= 3 and queue(seen).items() >= waiting.items()

    shown = wait_for(stack, wait_there, "three to wait")
    assert shown["status"] == "degraded"


def test_bills_are_shown_as_they_are_recorded(stack: Stack, bills: Bills) -> None:
    for _ in range(11):
        bills.post()
    bills.wait_until_all_are_recorded()
    newest = requests.get(f"{stack.url}/api/billing?limit=10", timeout=10).json()
    wait_for(stack, lambda seen: bool(seen["bills"] == newest), "the newest to be shown")


def test_the_messages_in_flight_of_two_consumers_are_added_up(stack: Stack, bills: Bills) -> None:
    stack.pm2("scale", "billing-consumer", "2")
    try:
        wait_for(stack, lambda seen: bool(queue(seen)["consumers"] == 2), "two consumers", 60)
        with locked_bills(stack):
            # more than one of them takes
            bills.publish_many([f"held-{number}" for number in range(300)])
            held = {"ready": 0, "in_flight": 300}
            wait_for(stack, lambda seen: queue(seen).items() >= held.items(), "300 in flight", 60)
    finally:
        stack.pm2("scale", "billing-consumer", "1")
    wait_for(stack, lambda seen: bool(queue(seen)["in_flight"] == 0), "none in flight", 60)


def test_without_rabbitmq_its_figures_are_null_and_all_others_are_there(
    stack: Stack, bills: Bills
) -> None:
    with stopped(stack.rabbitmq):
        shown = wait_for(stack, lambda seen: bool(seen["unavailable"] == ["queues"]), "no figures")
        assert {q["status"] for q in shown["queues"]} == {"unknown"}
        figures = ("ready", "in_flight", "dead_lettered", "consumers")
        assert {q[name] for q in shown["queues"] for name in figures} == {None}
        assert shown["rabbitmq"]["status"] == "down"
        assert isinstance(shown["orders"], dict) and isinstance(shown["bills"], list)
        bills.post()
        wait_for(stack, lambda seen: backlog(seen) == 1, "a backlog")
    wait_for(stack, lambda seen: backlog(seen) == 0, "an empty outbox", 60)
    wait_for(stack, lambda seen: bool(seen["unavailable"] == []), "figures", 60)


def has_no_database(seen: dict[str, Any]) -> bool:
    """Whether the gateway's database is shown as down, and its figures as unknown."""
    is_down = seen["machines"][0]["database"]["status"] == "down"
    return is_down and "outboxes" in seen["unavailable"] and backlog(seen) is None


def test_without_the_gateways_own_database_it_answers(stack: Stack, bills: Bills) -> None:
    with killed(stack.postgres["gateway"]):
        wait_for(stack, lambda seen: process(seen, "gateway")["status"] == "unready", "it unready")
        wait_for(stack, has_no_database, "no backlog")
    wait_for(stack, lambda seen: bool(seen["status"] == "up"), "all to be up", 60)


def test_an_unavailable_part_is_null_and_named(stack: Stack, bills: Bills) -> None:
    stack.pm2("stop", "orders-api")
    try:
        shown = wait_for(stack, lambda seen: bool(seen["unavailable"] == ["orders"]), "no orders")
        assert shown["orders"] is None
    finally:
        stack.pm2("start", "orders-api")


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_every_process_has_metrics(stack: Stack, process: Process) -> None:
    answer = requests.get(f"{stack.address(process)}/metrics", timeout=10)
    assert answer.status_code == 200
    assert list(text_string_to_metric_families(answer.text))
