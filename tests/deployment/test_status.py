"""What the gateway says of the machines."""

from typing import Any

import pytest
import requests

from local.waiting import wait_until
from tests.deployment.platform import PROCESSES, URL, Platform

pytestmark = pytest.mark.usefixtures("whole_again")


def status() -> dict[str, Any]:
    """What it says now."""
    answer = requests.get(f"{URL}/api/status", timeout=20)
    assert answer.status_code == 200
    shown: dict[str, Any] = answer.json()
    return shown


def machine(name: str) -> dict[str, Any]:
    """What it says of a machine."""
    return next(machine for machine in status()["machines"] if machine["name"] == name)


def test_the_gateway_sees_every_process_on_its_machine(platform: Platform) -> None:
    wait_until(lambda: status()["status"] == "up", 60, "all to be up")
    shown = status()
    assert shown["platform"] == "machines"
    assert shown["unavailable"] == []
    found = {m["name"]: tuple(p["name"] for p in m["processes"]) for m in shown["machines"]}
    assert found == PROCESSES


def test_a_second_consumer_is_asked_at_the_next_port(platform: Platform) -> None:
    def queue() -> dict[str, Any]:
        return next(q for q in status()["queues"] if q["name"] == "billing_queue")

    platform.ssh("billing-vm", "pm2 scale billing-consumer 2")
    try:
        both = {"consumers": 2, "in_flight": 0}
        wait_until(lambda: queue().items() >= both.items(), 30, "both to be asked")
    finally:
        platform.ssh("billing-vm", "pm2 scale billing-consumer 1")


def test_a_halted_machine_is_seen_and_holds_up_no_answer(platform: Platform) -> None:
    platform.vagrant.run("halt", "customers-vm")
    try:
        wait_until(lambda: machine("customers-vm")["status"] == "down", 30, "it to be down")
        for _ in range(5):
            answer = requests.get(f"{URL}/api/status", timeout=20)
            assert answer.elapsed.total_seconds() < 3
        assert machine("customers-vm")["database"]["status"] == "unknown"
        assert machine("inventory-vm")["status"] == "up"
    finally:
        platform.vagrant.run("up", "customers-vm")
    wait_until(lambda: status()["status"] == "up", 60, "all to be up again")
