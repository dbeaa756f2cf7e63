"""Any sequence of calls, faults and recoveries: whatever it is, what was promised is there once.

Five sequences, in some minutes; as many as you like: `./stack test tests/long/test_drill_machine.py
--hypothesis-profile night`, and `--hypothesis-seed N` for the sequences of another run.
"""

import random
from collections.abc import Callable
from uuid import uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from provisioning.rabbitmq.definitions import DEAD_LETTERS
from tools.drills.checks import saga
from tools.drills.checks.checker import Checker, compare
from tools.drills.checks.recovery import settle
from tools.drills.targets.stack_platform import StackPlatform
from tools.drills.workload import fixtures
from tools.drills.workload.client import Client
from tools.drills.workload.history import History, Request, Verdict
from tools.drills.workload.request_generator import RequestGenerator
from tools.stack.errors import StackError
from tools.stack.layout import PROCESSES, SERVICES
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

APIS = ("gateway", "inventory-api", "billing-api", "orders-api", "customers-api")
WORKERS = tuple(process.name for process in PROCESSES if process.name not in APIS)
SERVERS = ("rabbitmq", *(f"postgresql-{service}" for service in SERVICES))
FIVE = settings(max_examples=5, stateful_step_count=15)


class Faults(RuleBasedStateMachine):
    """A client, somebody who breaks things, and somebody who mends them."""

    requests = Bundle("requests")
    orders = Bundle("orders")

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.platform = StackPlatform(stack)
        wait_until(self.platform.is_healthy, 60, "the stack to be whole", poll=0.5)
        self.client = Client(self.platform.url, self.platform.token)
        self.history = History()
        own, stock = fixtures.make(self.client, uuid4().hex[:8])
        self.stock = stock
        self.generator = RequestGenerator(own, random.Random(5))
        dead = {q: n for q, n in self.platform.depths().items() if q.endswith(DEAD_LETTERS)}
        self.checker = Checker(self.platform, own, stock, dead)
        self.mending: list[Callable[[], object]] = []

    @rule(target=requests)
    def ask(self) -> Request:
        """Ask for something, whatever it is."""
        request = self.generator.next()
        self._send(request)
        return request

    @rule(request=requests)
    def ask_again(self, request: Request) -> None:
        """Repeat a request that has a key."""
        if request.key:
            self._send(request)

    @rule(target=orders)
    def order(self) -> Request:
        """Order something that is there."""
        order = self.generator.probe()
        self._send(order)
        return order

    @rule(order=orders)
    def cancel(self, order: Request) -> None:
        """Cancel an order if it was taken, perhaps too late."""
        for entry in self.history.accepted():
            if entry.request == order:
                self._send(self.generator.cancellation(min(entry.ids)))

    @rule(name=st.sampled_from(WORKERS))
    def stop(self, name: str) -> None:
        """Have PM2 stop a process."""
        self.platform.stop_process(name)
        self.mending.append(lambda: self.platform.start_process(name))

    @rule(name=st.sampled_from(WORKERS + APIS))
    def kill(self, name: str) -> None:
        """Kill a process; PM2 starts it again."""
        self.platform.kill_process(name)

    @rule(name=st.sampled_from(WORKERS))
    def freeze(self, name: str) -> None:
        """Freeze a process."""
        self.platform.freeze_process(name)
        self.mending.append(lambda: self.platform.thaw_process(name))

    @rule(name=st.sampled_from(SERVERS), action=st.sampled_from(["stop", "kill"]))
    def end(self, name: str, action: str) -> None:
        """Stop or kill a server."""
        self.platform.act_on_server(action, name)
        self.mending.append(lambda: self.platform.act_on_server("start", name))

    @rule(service=st.sampled_from(SERVICES))
    def disconnect(self, service: str) -> None:
        """Terminate the connections to a database, if it runs."""
        if self.platform.stack.postgres[service].running():
            self.platform.disconnect_database(service)

    @rule(service=st.sampled_from(SERVICES))
    def make_read_only(self, service: str) -> None:
        """Have a database take no changes, if it runs."""
        if self.platform.stack.postgres[service].running():
            self.platform.set_read_only(service, True)
            self.mending.append(lambda: self.platform.set_read_only(service, False))

    @rule()
    def mend(self) -> None:
        """Mend all that is broken."""
        while self.mending:
            self.mending.pop()()

    @invariant()
    def nothing_is_there_twice_and_no_stock_below_zero(self) -> None:
        """What has to be true at any time, as far as databases answer."""
        try:
            recorded = self.checker.recorded()
            products = ", ".join(map(str, self.stock))
            select = f"SELECT id FROM products WHERE stock < 0 AND id IN ({products})"
            below = self.platform.rows("inventory", select)
        except StackError:
            return
        assert [f for f in compare(self.history.entries(), recorded) if f.verdict != "lost"] == []
        assert below == []

    def teardown(self) -> None:
        """Mend all, and see that all is as it has to be."""
        self.mend()
        found = settle(self.checker, self.history, lambda: None)
        wait_until(self.platform.is_healthy, 60, "the stack to be whole", poll=0.5)
        assert list(found) == []
        marker = (
            f"SELECT order_pk FROM order_lines WHERE product_id = {self.checker.fixtures.marker}"
        )
        assert {o.status for o in saga.placed(self.platform, f"id IN ({marker})")} <= {*saga.FINAL}

    def _send(self, request: Request) -> None:
        answer = self.client.send(request)
        self.history.add(answer)
        # the gateway may just be killed
        assert answer.verdict is not Verdict.IMPROPER, answer


def test_after_any_faults_and_repairs_every_promise_is_kept_once(stack: Stack) -> None:
    night = settings.get_current_profile_name() == "night"
    chosen = settings(
        settings() if night else FIVE,
        deadline=None,
        database=None,
        # an example takes many seconds, and a smaller one may well pass
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    class Here(Faults):
        def __init__(self) -> None:
            super().__init__(stack)

    run_state_machine_as_test(Here, settings=chosen)
