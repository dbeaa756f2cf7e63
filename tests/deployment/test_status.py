"""What the gateway says of the machines."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.deployment.platform import POLL, PROCESSES, SECONDS, URL, Platform
from tools.stack import waiting

pytestmark = pytest.mark.usefixtures("whole_again")


def status() -> dict[str, Any]:
    """What it says now."""
    answer = requests.get(f"{URL}/api/status", timeout=20)
    assert answer.status_code == 200
    shown: dict[str, Any] = answer.json()
    return shown


def wait_for(condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """Wait until it says so, and return all that it said then.

    Each of the gateway's processes has looked for itself: the next answer may be another one's.
    """
    return waiting.wait_for(status, condition, SECONDS, what, POLL)


def alone_is_down(said: dict[str, Any]) -> bool:
    """Whether customers-vm is down, with what is on it unknown, and another machine is not."""
    machines = {machine["name"]: machine for machine in said["machines"]}
    customers, inventory = machines["customers-vm"], machines["inventory-vm"]
    down = (customers["status"], customers["database"]["status"]) == ("down", "unknown")
    return down and inventory["status"] == "up"


def test_the_gateway_sees_every_process_on_its_machine(platform: Platform) -> None:
    shown = wait_for(lambda said: bool(said["status"] == "up"), "all to be up")
    assert shown["platform"] == "machines"
    assert shown["unavailable"] == []
    found = {m["name"]: tuple(p["name"] for p in m["processes"]) for m in shown["machines"]}
    assert found == PROCESSES


def test_a_second_consumer_is_asked_at_the_next_port(platform: Platform) -> None:
    def both(said: dict[str, Any]) -> bool:
        queue = next(queue for queue in said["queues"] if queue["name"] == "billing_queue")
        return bool((queue["consumers"], queue["in_flight"]) == (2, 0))

    platform.look("billing-vm", "pm2 scale billing-consumer 2")
    try:
        wait_for(both, "both to be asked")
    finally:
        platform.look("billing-vm", "pm2 scale billing-consumer 1")


def test_a_halted_machine_is_seen_and_holds_up_no_answer(platform: Platform) -> None:
    with platform.without("customers-vm"):
        wait_for(alone_is_down, "it alone to be down")
        for _ in range(5):
            answer = requests.get(f"{URL}/api/status", timeout=20)
            assert answer.elapsed.total_seconds() < 3
    wait_for(lambda said: bool(said["status"] == "up"), "all to be up again")
