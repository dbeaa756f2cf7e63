"""Real faults of a real stack raise the alerts of monitoring/alerts.yml, which end after them."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.long.faults import FAULTS, Fault, Scene
from tests.long.prometheus import Alert, Prometheus, prometheus
from tests.support.at_work import at_work
from tests.support.stack.bills_client import NO_ANSWER, Bills
from tests.support.stack.orders import Orders
from tools.stack import lifecycle
from tools.stack.console import table
from tools.stack.layout import PROCESSES
from tools.stack.servers.data_directories import private_home
from tools.stack.stack import Stack
from tools.stack.waiting import wait_for, wait_until

FIRE_SECONDS, END_SECONDS = 180.0, 300.0
HEALTHY_SECONDS = 60.0
PAUSE_SECONDS = 1.0
Row = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack that soon sends again what an order waits for."""
    with private_home() as home:
        stack = Stack.private(home, ORDERS_RESEND_AFTER_SECONDS="20")
        try:
            lifecycle.up(stack)
            yield stack
        finally:
            lifecycle.down(stack)


@pytest.fixture(scope="module")
def scene(stack: Stack) -> Iterator[Scene]:
    """The stack under light traffic, whatever becomes of its requests."""
    orders, bills = Orders(stack), Bills(stack)
    product = orders.make_product()

    def work(stop: threading.Event) -> None:
        while not stop.wait(PAUSE_SECONDS):
            with suppress(*NO_ANSWER):
                bills.post()
            with suppress(*NO_ANSWER):
                orders.post((product, 1))

    with at_work(work):
        yield Scene(stack, orders)


@pytest.fixture(scope="module")
def watched(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that watches all of it."""
    home: Path = tmp_path_factory.mktemp("prometheus")
    with prometheus(home, scene.stack.variables) as asked:
        wait_until(lambda: asked.scraped() == len(PROCESSES), 60, "all targets to answer")
        yield asked


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """What came of each fault, printed in the end."""
    rows: list[Row] = [("fault", "alert", "fires after", "ends after")]
    yield rows
    print(f"\n{table(rows)}")


def test_a_healthy_stack_raises_no_alert(watched: Prometheus) -> None:
    ends = time.monotonic() + HEALTHY_SECONDS
    seen: set[Alert] = set()

    def is_over() -> bool:
        seen.update(watched.firing())
        return time.monotonic() >= ends

    wait_until(is_over, 2 * HEALTHY_SECONDS, "a minute to pass", poll=0.5)
    assert seen == set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_raises_its_alert_which_ends_after_it(
    fault: Fault, scene: Scene, watched: Prometheus, rows: list[Row]
) -> None:
    wait_until(lambda: not watched.firing(), END_SECONDS, "a stack without alerts", poll=0.5)
    seen: dict[Alert, float] = {}

    def look() -> set[Alert]:
        firing = watched.firing()
        for alert in firing:
            seen.setdefault(alert, time.monotonic())
        return firing

    began = time.monotonic()
    with fault.begin(scene):
        wait_for(
            look,
            lambda _firing: seen.keys() >= {*fault.alerts},
            FIRE_SECONDS,
            f"{fault.alerts}",
            poll=0.5,
        )
    undone = time.monotonic()
    wait_for(look, lambda firing: not firing, END_SECONDS, "the alerts to end", poll=0.5)
    ended = time.monotonic() - undone
    for alert, at in sorted(seen.items()):
        name = f"{alert.name} {alert.about}"
        rows.append((fault.name, name, f"{at - began:.0f} s", f"{ended:.0f} s"))
    expected = {alert.name for alert in fault.alerts}
    assert {alert.name for alert in seen} <= {*expected, *fault.others}
