"""Machines, servers and processes that go away and come back."""

import time
from collections.abc import Mapping
from functools import partial

import pytest
import requests

from tests.deployment.platform import (
    POLL,
    SECONDS,
    URL,
    Order,
    Platform,
    create_customer,
    create_product,
)
from tests.deployment.vagrant import MACHINES, on_each
from tools.stack.waiting import wait_until

pytestmark = pytest.mark.usefixtures("whole_again")
PM2_PID = "/var/lib/crud-master/pm2/pm2.pid"


def test_without_billing_vm_bills_are_accepted_at_once_and_recorded_when_it_is_back(
    platform: Platform,
) -> None:
    with platform.without("billing-vm"):
        answers = platform.post_bills(20)
    assert max(answer.elapsed.total_seconds() for answer in answers) < 1
    platform.wait_until_all_are_recorded()


def check_refusal(path: str, headers: Mapping[str, str] | None = None) -> None:
    """Check that reading is refused for now, and soon: who is away holds nobody up."""
    started = time.monotonic()
    answer = requests.get(f"{URL}{path}", headers=headers, timeout=20)
    assert time.monotonic() - started < 3
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_without_inventory_vm_movies_are_503_and_bills_are_accepted(platform: Platform) -> None:
    with platform.without("inventory-vm"):
        for _ in range(3):
            check_refusal("/api/movies")
        platform.post_bills(5)
    platform.wait_until_all_are_recorded()


def test_without_customers_vm_customers_are_503_and_everything_else_works(
    platform: Platform,
) -> None:
    with platform.without("customers-vm"):
        for _ in range(3):
            check_refusal("/api/customers")
        assert requests.get(f"{URL}/api/movies", timeout=20).status_code == 200
        platform.post_bills(5)
    platform.wait_until_all_are_recorded()


def test_without_inventory_vm_orders_are_503_and_a_cancelled_one_gives_its_stock_back_later(
    platform: Platform,
) -> None:
    platform.look("billing-vm", "pm2 stop billing-consumer")
    try:
        customer, product = create_customer().json()["id"], create_product(1)
        order = platform.post_order(customer, product).json()
        platform.wait_for_order(order, "processing")
        platform.vagrant.run("halt", "inventory-vm")
        refused = platform.post_order(customer, product)
        cancelled = cancel(platform, order)
    finally:
        platform.vagrant.run("up", "inventory-vm")
        platform.look("billing-vm", "pm2 start billing-consumer")
    platform.wait_until_whole()
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    one = f"{URL}/api/products/{product}"
    wait_until(lambda: requests.get(one, timeout=20).json().get("stock") == 1, SECONDS, "the stock")
    platform.wait_for_mails(order, "created", "cancelled")


def test_without_billing_vm_orders_are_accepted_and_completed_when_it_is_back(
    platform: Platform,
) -> None:
    with platform.without("billing-vm"):
        orders = [platform.place_order() for _ in range(5)]
        states = {platform.order(order)["status"] for order in orders}
    assert states == {"pending"}
    for order in orders:
        platform.wait_for_order(order)
        platform.wait_for_mails(order, "created", "completed")


def test_without_orders_vm_orders_are_503_and_everything_else_works(platform: Platform) -> None:
    platform.look("billing-vm", "pm2 stop billing-consumer")
    order = platform.place_order()
    platform.wait_for_order(order, "processing")
    with platform.without("orders-vm"):
        check_refusal("/api/orders", platform.token)
        # its bill is recorded meanwhile
        platform.look("billing-vm", "pm2 start billing-consumer")
        platform.post_bills(5)
        platform.wait_until_all_are_recorded()
        assert requests.get(f"{URL}/api/products", timeout=20).status_code == 200
    platform.wait_for_order(order)
    platform.wait_for_mails(order, "created", "completed")


def cancel(platform: Platform, order: Order) -> requests.Response:
    """Cancel an order."""
    url = f"{URL}/api/orders/{order['id']}/status"
    return requests.put(url, json="cancelled", headers=platform.token, timeout=20)


def test_without_billing_vm_changes_and_events_are_accepted_and_published_when_it_is_back(
    platform: Platform,
) -> None:
    with platform.customer_events("tests-outage") as events:
        with platform.without("billing-vm"):
            answers = [create_customer() for _ in range(20)]
            url = f"{URL}/api/event/ecommerce/order/create"
            event = requests.post(url, json={"order_id": 12345}, timeout=20)
        assert [answer.status_code for answer in answers] == [201] * 20
        assert event.status_code == 201
        wait_until(lambda: reaches_management(platform), SECONDS, "RabbitMQ's management API")
        wait_until(lambda: len({e["id"] for e in events()}) == 20, SECONDS, "20 events", POLL)
        assert {e["data"]["id"] for e in events()} == {answer.json()["id"] for answer in answers}
    one = f"{URL}/api/events/{event.json()['event_uid']}"
    wait_until(lambda: is_delivered(one), SECONDS, "the event to be delivered")


def reaches_management(platform: Platform) -> bool:
    """Whether RabbitMQ's management API answers."""
    try:
        platform.manage("GET", "whoami")
    except requests.RequestException:
        return False
    return True


def is_delivered(event: str) -> bool:
    """Whether RabbitMQ has confirmed the event at this address."""
    return requests.get(event, timeout=20).json()["delivered_at"] is not None


def test_rabbitmq_stopped_and_started_loses_nothing(platform: Platform) -> None:
    platform.look("billing-vm", "sudo systemctl stop rabbitmq-server")
    platform.post_bills(20)
    order = platform.place_order()
    platform.look("billing-vm", "sudo systemctl start rabbitmq-server")
    platform.post_bills(5)
    platform.wait_until_all_are_recorded()
    platform.wait_for_order(order)


@pytest.mark.parametrize("machine", MACHINES)
def test_postgresql_restarted_loses_nothing(platform: Platform, machine: str) -> None:
    platform.post_bills(5)
    platform.look(machine, "sudo systemctl restart postgresql")
    wait_until(platform.answers, SECONDS, "reading to work again", POLL)
    platform.post_bills(5)
    order = platform.place_order()
    platform.wait_until_all_are_recorded()
    platform.wait_for_order(order)


@pytest.mark.parametrize("machine", MACHINES)
def test_killed_processes_come_back(platform: Platform, machine: str) -> None:
    killed = set(pids(platform, machine))
    platform.look(machine, f"sudo kill -9 {' '.join(map(str, killed))}")
    wait_until(lambda: killed.isdisjoint(pids(platform, machine)), SECONDS, "others", POLL)
    platform.wait_until_whole()
    platform.post_bills(5)
    order = platform.place_order()
    platform.wait_until_all_are_recorded()
    platform.wait_for_order(order)


def test_killed_pm2s_come_back_with_all_processes(platform: Platform) -> None:
    killed = on_each(partial(pm2_pid, platform))
    on_each(lambda machine: platform.look(machine, f"sudo kill -9 {killed[machine]}"))
    # a call of PM2 before systemd has seen its end would start another
    wait_until(
        lambda: all(
            said != killed[machine] for machine, said in on_each(partial(pm2_pid, platform)).items()
        ),
        SECONDS,
        "other PM2s",
        POLL,
    )
    platform.wait_until_whole()
    daemons = on_each(lambda machine: platform.look(machine, "pgrep -cf 'God Daemon'").strip())
    assert set(daemons.values()) == {"1"}
    platform.post_bills(5)
    platform.wait_until_all_are_recorded()


def test_a_pm2_that_lost_its_sockets_is_not_joined_by_a_second_one(platform: Platform) -> None:
    platform.look("billing-vm", "sudo rm /var/lib/crud-master/pm2/rpc.sock")
    done = platform.vagrant.try_look("billing-vm", "pm2 list")
    assert done.returncode == 1
    assert "sudo systemctl restart crud-master.service" in done.stderr
    assert platform.look("billing-vm", "pgrep -cf 'God Daemon'").strip() == "1"
    platform.look("billing-vm", "sudo systemctl restart crud-master.service")
    platform.wait_until_whole()
    assert platform.look("billing-vm", "pgrep -cf 'God Daemon'").strip() == "1"
    platform.post_bills(5)
    platform.wait_until_all_are_recorded()


def test_after_a_reload_of_all_machines_everything_is_back(platform: Platform) -> None:
    platform.post_bills(5)
    orders = [platform.place_order()]
    platform.vagrant.run("reload", seconds=1800)
    platform.wait_until_whole()
    platform.post_bills(5)
    orders.append(platform.place_order())
    platform.wait_until_all_are_recorded()
    for order in orders:
        platform.wait_for_order(order)
        platform.wait_for_mails(order, "created", "completed")


def pids(platform: Platform, machine: str) -> list[int]:
    """The processes that PM2 runs on a machine."""
    return [pid for entry in platform.processes(machine) if (pid := int(entry["pid"] or 0))]


def pm2_pid(platform: Platform, machine: str) -> str:
    """PM2's own process on a machine, as it has noted it."""
    return platform.look(machine, f"sudo cat {PM2_PID} || true")
