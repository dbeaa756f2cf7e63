"""Events that other systems put on the bus, and ./stack events, which shows what is on it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from tests.support.outages import stopped
from tests.support.readiness import ready
from tests.support.stack.listener import Listener
from tools.stack.layout import CHECKOUT
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

ORDER = {"order_id": 12345, "customer": "John Doe ✓", "total_amount": 250}
# ./stack events, on the tests' stack in place of the checkout's
COMMAND = """
import sys
from pathlib import Path
from tools.stack import __main__ as stack, variables
home = Path(sys.argv[1])
stack.Stack.as_started = lambda: stack.Stack(home, variables.parse(home / "services.env"))
sys.exit(stack.main(sys.argv[2:]))
"""
Follower = subprocess.Popen[str]


@pytest.fixture
def events(stack: Stack) -> Iterator[Listener]:
    """events_queue, empty; everything runs."""
    events = Listener(stack, "events_queue")
    events.clear()
    yield events
    wait_until(lambda: ready(stack), 60, "the stack to be whole again")


@contextmanager
def following(stack: Stack, *words: str) -> Iterator[Follower]:
    """Run ./stack events, and go on once it shows what comes."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, stack.home, "events", *words],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stdout and follower.stderr
        try:
            assert (
                follower.stderr.readline()
                == f"Waiting for what {words[0]} gets; Ctrl-C ends this.\n"
            )
            yield follower
        finally:
            follower.kill()


def post(stack: Stack, action: str, body: object = ORDER) -> dict[str, Any]:
    """Put an event on the bus."""
    url = f"{stack.url}/api/event/ecommerce/order/{action}"
    answer = requests.post(url, json=body, timeout=10)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert made["event_data"] == body
    return made


def shown(stack: Stack, uid: str) -> dict[str, Any]:
    """What the gateway knows of an event."""
    found: dict[str, Any] = requests.get(f"{stack.url}/api/events/{uid}", timeout=10).json()
    return found


def test_an_event_is_in_events_queue_for_whoever_connects_later(
    stack: Stack, events: Listener
) -> None:
    uid = post(stack, "create")["event_uid"]
    wait_until(lambda: shown(stack, uid)["delivered_at"] is not None, 10, "its delivery")
    events.wait_for(1)
    assert events.events[uid]["data"] == ORDER
    assert events.routing_keys[uid] == "ecommerce.order.create"


def test_without_a_broker_events_are_accepted_and_delivered_later_and_a_follower_sees_it(
    stack: Stack, events: Listener
) -> None:
    with following(stack, "events") as follower, stopped(stack.rabbitmq):
        uids = [post(stack, f"number-{n}")["event_uid"] for n in range(5)]
        waiting = requests.get(f"{stack.url}/api/events?delivered=false", timeout=10).json()
        assert [event["event_uid"] for event in waiting] == uids
        _, said = follower.communicate(timeout=10)
    assert (follower.returncode, said.count("\n")) == (1, 1)
    assert said.startswith("RabbitMQ is gone: ")
    events.wait_for(5)
    assert events.events.keys() == set(uids)
    wait_until(lambda: all(shown(stack, uid)["delivered_at"] for uid in uids), 10, "their delivery")


def test_stack_events_shows_an_event_and_ends_silently_at_ctrl_c(stack: Stack) -> None:
    with following(stack, "events", "--routing-key", "*.order.pay") as follower:
        assert follower.stdout
        post(stack, "create")
        uid = post(stack, "pay")["event_uid"]
        line = json.loads(follower.stdout.readline())
        follower.send_signal(signal.SIGINT)
        assert follower.communicate(timeout=10) == ("", "")
    assert (line["routing_key"], line["id"]) == ("ecommerce.order.pay", uid)
    assert line["data"] == ORDER
    assert follower.returncode == 130


def test_stack_events_ends_silently_when_nobody_reads_it(stack: Stack) -> None:
    with following(stack, "customer_events") as follower:
        assert follower.stdout and follower.stderr
        follower.stdout.close()
        assert follower.wait(10) == 0
        assert follower.stderr.read() == ""


def test_an_unknown_exchange_is_named_with_the_known_ones(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, stack.home, "events", "nosuch"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("There is no exchange nosuch. There are ")
    assert "customer_events, events" in done.stderr
