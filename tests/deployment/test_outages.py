"""Machines, servers and processes that go away and come back."""

import time
from collections.abc import Iterable, Mapping
from functools import partial

import pytest
import requests

from tests.deployment.platform import (
    POLL,
    SECONDS,
    URL,
    Order,
    Platform,
    Status,
    create_customer,
    create_product,
)
from tests.deployment.vagrant import MACHINES, on_each
from tools.stack.waiting import wait_until

pytestmark = pytest.mark.usefixtures("whole_again")
PM2_PID = "/var/lib/crud-master/pm2/pm2.pid"


def test_without_billing_vm_all_is_accepted_at_once_and_published_when_it_is_back(
    platform: Platform,
) -> None:
    with platform.customer_events("tests-outage") as events:
        with platform.without("billing-vm"):
            bills = platform.post_bills(20)
            orders = [platform.place_order() for _ in range(5)]
            states = {platform.order(order)["status"] for order in orders}
            answers = [create_customer() for _ in range(20)]
            url = f"{URL}/api/event/ecommerce/order/create"
            event = requests.post(url, json={"order_id": 12345}, timeout=20)
        assert max(bill.elapsed.total_seconds() for bill in bills) < 1
        assert states == {"pending"}
        assert [answer.status_code for answer in answers] == [201] * 20
        assert event.status_code == 201
        # each order has a customer of its own
        created = {answer.json()["id"] for answer in answers}
        created |= {int(order["customer_id"]) for order in orders}
        assert len(created) == 25
        wait_until(lambda: reaches_management(platform), SECONDS, "RabbitMQ's management API")
        wait_until(lambda: len({e["id"] for e in events()}) == 25, SECONDS, "25 events", POLL)
        assert {e["data"]["id"] for e in events()} == created
    one = f"{URL}/api/events/{event.json()['event_uid']}"
    wait_until(lambda: is_delivered(one), SECONDS, "the event to be delivered")
    platform.wait_until_all_are_recorded()
    for order in orders:
        platform.wait_for_order(order)
        platform.wait_for_mails(order, "created", "completed")


def test_without_inventory_vm_movies_and_orders_are_503_and_stock_comes_back_later(
    platform: Platform,
) -> None:
    platform.look("billing-vm", "pm2 stop billing-consumer")
    customer, product = create_customer().json()["id"], create_product(1)
    order = platform.post_order(customer, product).json()
    platform.wait_for_order(order, "processing")
    with platform.without("inventory-vm"):
        try:
            for _ in range(3):
                check_refusal("/api/movies")
            refused = platform.post_order(customer, product)
            cancelled = cancel(platform, order)
            platform.post_bills(5)
        finally:
            platform.look("billing-vm", "pm2 start billing-consumer")
        platform.wait_until_all_are_recorded()
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    one = f"{URL}/api/products/{product}"
    wait_until(lambda: requests.get(one, timeout=20).json().get("stock") == 1, SECONDS, "the stock")
    platform.wait_for_mails(order, "created", "cancelled")


def test_without_customers_vm_and_orders_vm_both_are_503_and_down_and_everything_else_works(
    platform: Platform,
) -> None:
    platform.look("billing-vm", "pm2 stop billing-consumer")
    order = platform.place_order()
    platform.wait_for_order(order, "processing")
    with platform.without("customers-vm", "orders-vm"):
        # the order's bill is recorded meanwhile
        platform.look("billing-vm", "pm2 start billing-consumer")
        for _ in range(3):
            check_refusal("/api/customers")
            check_refusal("/api/orders", platform.token)
        platform.wait_for_status(they_alone_are_down, "those two alone to be down")
        for _ in range(5):
            answer = requests.get(f"{URL}/api/status", timeout=20)
            assert answer.elapsed.total_seconds() < 3
        for path in ("/api/movies", "/api/products"):
            assert requests.get(f"{URL}{path}", timeout=20).status_code == 200
        platform.post_bills(5)
        platform.wait_until_all_are_recorded()
    platform.wait_for_status(lambda said: bool(said["status"] == "up"), "all to be up again")
    platform.wait_for_order(order)
    platform.wait_for_mails(order, "created", "completed")


def check_refusal(path: str, headers: Mapping[str, str] | None = None) -> None:
    """Check that reading is refused for now, and soon: a halted machine holds nobody up."""
    # the cache may still have an answer
    asked = {"Cache-Control": "no-cache", **(headers or {})}
    started = time.monotonic()
    answer = requests.get(f"{URL}{path}", headers=asked, timeout=20)
    assert time.monotonic() - started < 3
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def cancel(platform: Platform, order: Order) -> requests.Response:
    """Cancel an order."""
    url = f"{URL}/api/orders/{order['id']}/status"
    return requests.put(url, json="cancelled", headers=platform.token, timeout=20)


def they_alone_are_down(said: Status) -> bool:
    """Whether the two halted machines are down, with what is on them unknown, and no other is."""
    machines = {machine["name"]: machine for machine in said["machines"]}
    halted = [machines.pop(name) for name in ("customers-vm", "orders-vm")]
    down = {(machine["status"], machine["database"]["status"]) for machine in halted}
    up = {machine["status"] for machine in machines.values()}
    return (down, up) == ({("down", "unknown")}, {"up"})


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


def test_postgresql_restarted_on_all_machines_loses_nothing(platform: Platform) -> None:
    platform.post_bills(5)
    orders = [platform.place_order()]
    on_each(lambda machine: platform.look(machine, "sudo systemctl restart postgresql"))
    wait_until(platform.answers, SECONDS, "reading to work again", POLL)
    platform.post_bills(5)
    orders.append(platform.place_order())
    platform.wait_until_all_are_recorded()
    for order in orders:
        platform.wait_for_order(order)


def test_killed_processes_come_back_on_all_machines(platform: Platform) -> None:
    platform.post_bills(5)
    orders = [platform.place_order()]
    killed = on_each(lambda machine: set(pids(platform, machine)))
    on_each(lambda machine: kill(platform, machine, killed[machine]))

    def are_replaced() -> bool:
        running = on_each(lambda machine: pids(platform, machine))
        return all(killed[machine].isdisjoint(running[machine]) for machine in MACHINES)

    wait_until(are_replaced, SECONDS, "other processes", POLL)
    platform.wait_until_whole()
    platform.post_bills(5)
    orders.append(platform.place_order())
    platform.wait_until_all_are_recorded()
    for order in orders:
        platform.wait_for_order(order)


def test_killed_pm2s_come_back_with_all_processes(platform: Platform) -> None:
    killed = on_each(partial(pm2_pid, platform))
    on_each(lambda machine: kill(platform, machine, [killed[machine]]))
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


def test_after_a_halt_of_all_machines_everything_is_back(platform: Platform) -> None:
    platform.post_bills(5)
    orders = [platform.place_order()]
    with platform.without(*MACHINES):
        pass
    platform.post_bills(5)
    orders.append(platform.place_order())
    platform.wait_until_all_are_recorded()
    for order in orders:
        platform.wait_for_order(order)
        platform.wait_for_mails(order, "created", "completed")


def kill(platform: Platform, machine: str, processes: Iterable[int | str]) -> None:
    """Kill processes of a machine."""
    platform.look(machine, f"sudo kill -9 {' '.join(map(str, processes))}")


def pids(platform: Platform, machine: str) -> list[int]:
    """The processes that PM2 runs on a machine."""
    return [pid for entry in platform.processes(machine) if (pid := int(entry["pid"] or 0))]


def pm2_pid(platform: Platform, machine: str) -> str:
    """PM2's own process on a machine, as it has noted it."""
    return platform.look(machine, f"sudo cat {PM2_PID} || true")
