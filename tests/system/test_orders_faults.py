"""Orders under faults: each comes to its end, with its stock, its bill and its mails."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.stack.orders import Orders
from tools.stack import backlog
from tools.stack.process_lookup import kill
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

Evidence = Callable[[Orders], bool]
# a process that is stopped, the state in which the order then stays, and by what that can be seen
STEPS: dict[str, tuple[str, Evidence]] = {
    "orders-relay": ("pending", lambda orders: backlog.unsent(orders.stack, "orders") == 1),
    "inventory-consumer": ("pending", lambda orders: orders.waiting("inventory_inbox") == 1),
    "inventory-relay": ("pending", lambda orders: backlog.unsent(orders.stack, "inventory") == 1),
    "orders-consumer": ("pending", lambda orders: orders.waiting("orders_inbox") == 1),
    "billing-consumer": ("processing", lambda orders: orders.waiting("order_bills") == 1),
    "billing-relay": ("processing", lambda orders: backlog.unsent(orders.stack, "billing") == 2),
    "mail-worker": ("completed", lambda orders: orders.waiting("mail_inbox") == 2),
}
CONSUMERS = ("inventory-consumer", "orders-consumer", "billing-consumer", "mail-worker")
RELAYS = ("inventory-relay", "orders-relay", "billing-relay")
APIS = ("gateway", "inventory-api", "billing-api", "customers-api", "orders-api")
SCARCE = 15


@contextmanager
def stopped(stack: Stack, process: str) -> Iterator[None]:
    """Have PM2 stop a process until the block ends."""
    stack.process_manager.call("stop", process)
    try:
        yield
    finally:
        stack.process_manager.call("start", process)


@pytest.mark.parametrize("process", STEPS)
def test_an_order_delayed_by_a_stopped_process_continues_by_itself(
    stack: Stack,
    orders: Orders,
    process: str,
) -> None:
    status, is_held_up = STEPS[process]
    product = orders.make_product(5)
    # the events of what was made are no order's
    orders.wait_until_settled()
    with stopped(stack, process):
        order = orders.place((product, 2))
        wait_until(lambda: is_held_up(orders), 30, f"{process} to be missed")
        assert orders.get(order)["status"] == status
    orders.wait_for_status(order, "completed")
    orders.wait_until_settled()


@pytest.mark.parametrize(
    "server", ["rabbitmq", "postgresql-orders", "postgresql-inventory", "postgresql-billing"]
)
def test_a_server_killed_amid_many_orders_loses_none(
    stack: Stack,
    orders: Orders,
    server: str,
) -> None:
    orders.make_product()
    orders.make_product(SCARCE)
    killed = stack.servers()[server]
    with orders.traffic():
        orders.wait_for_placed(8)
        killed.kill()
        killed.start()
        orders.wait_for_placed(8)
    orders.wait_until_settled()


def test_each_process_killed_amid_many_orders_loses_none(
    stack: Stack,
    orders: Orders,
) -> None:
    chance = random.Random(5)
    victims = [*CONSUMERS, *RELAYS, *APIS]
    chance.shuffle(victims)
    orders.make_product()
    orders.make_product()
    orders.make_product(SCARCE)
    with orders.traffic():
        for victim in victims:
            orders.wait_for_placed(chance.randrange(2, 6))
            kill(stack, victim)
        orders.wait_for_placed(10)
    orders.wait_until_settled()
    ends = {row.status for row in orders.rows()}
    assert ends == {"completed", "cancelled"}


def test_two_of_each_worker_at_once_do_everything_once(
    stack: Stack,
    orders: Orders,
) -> None:
    orders.make_product()
    orders.make_product(SCARCE)
    workers = (*CONSUMERS, *RELAYS)
    for worker in workers:
        stack.process_manager.call("scale", worker, "2")
    try:
        with orders.traffic():
            orders.wait_for_placed(20)
        orders.wait_until_settled()
    finally:
        for worker in workers:
            stack.process_manager.call("scale", worker, "1")
