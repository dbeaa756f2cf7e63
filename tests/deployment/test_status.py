"""What the gateway says of the machines."""

import pytest
import requests

from tests.deployment.platform import PROCESSES, URL, Platform, Status
from tools.stack.waiting import wait_until

pytestmark = pytest.mark.usefixtures("whole_again")


def test_the_gateway_sees_every_process_on_its_machine(platform: Platform) -> None:
    shown = platform.wait_for_status(lambda said: bool(said["status"] == "up"), "all to be up")
    assert shown["platform"] == "machines"
    assert shown["unavailable"] == []
    found = {m["name"]: tuple(p["name"] for p in m["processes"]) for m in shown["machines"]}
    assert found == PROCESSES


def test_redis_caches_on_gateway_vm_and_answers_the_services_alone(platform: Platform) -> None:
    def is_up(said: Status) -> bool:
        cache = said["cache"]
        return bool((cache["machine"], cache["status"]) == ("gateway-vm", "up"))

    platform.wait_for_status(is_up, "the cache to be up")
    socket = "/run/redis/crud-master.sock"
    ping = f"redis-cli -s {socket} ping"
    assert "PONG" in platform.look("gateway-vm", f"sudo runuser -u app -- {ping}")
    refused = platform.look("gateway-vm", f"sudo runuser -u nobody -- {ping} 2>&1 || true")
    assert "PONG" not in refused
    listening = platform.look("gateway-vm", "sudo ss -tlnp")
    assert "redis" not in listening


def test_a_movie_is_read_from_the_cache_until_it_is_written(platform: Platform) -> None:
    created = requests.post(f"{URL}/api/movies", json={"title": "Cached"}, timeout=10).json()
    one = f"{URL}/api/movies/{created['id']}"

    def is_hit() -> bool:
        return "hit" in requests.get(one, timeout=10).headers["Cache-Status"]

    wait_until(is_hit, 30, "a hit")
    assert requests.put(one, json={"title": "Renamed"}, timeout=10).status_code == 200
    assert requests.get(one, timeout=10).json()["title"] == "Renamed"


def test_a_second_consumer_is_asked_at_the_next_port(platform: Platform) -> None:
    def both(said: Status) -> bool:
        queue = next(queue for queue in said["queues"] if queue["name"] == "billing_queue")
        return bool((queue["consumers"], queue["in_flight"]) == (2, 0))

    platform.look("billing-vm", "pm2 scale billing-consumer 2")
    try:
        platform.wait_for_status(both, "both to be asked")
    finally:
        platform.look("billing-vm", "pm2 scale billing-consumer 1")
