"""What the gateway says of the machines."""

import pytest

from tests.deployment.platform import PROCESSES, Platform, Status

pytestmark = pytest.mark.usefixtures("whole_again")


def test_the_gateway_sees_every_process_on_its_machine(platform: Platform) -> None:
    shown = platform.wait_for_status(lambda said: bool(said["status"] == "up"), "all to be up")
    assert shown["platform"] == "machines"
    assert shown["unavailable"] == []
    found = {m["name"]: tuple(p["name"] for p in m["processes"]) for m in shown["machines"]}
    assert found == PROCESSES


def test_a_second_consumer_is_asked_at_the_next_port(platform: Platform) -> None:
    def both(said: Status) -> bool:
        queue = next(queue for queue in said["queues"] if queue["name"] == "billing_queue")
        return bool((queue["consumers"], queue["in_flight"]) == (2, 0))

    platform.look("billing-vm", "pm2 scale billing-consumer 2")
    try:
        platform.wait_for_status(both, "both to be asked")
    finally:
        platform.look("billing-vm", "pm2 scale billing-consumer 1")
