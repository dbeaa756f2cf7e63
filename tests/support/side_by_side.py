"""The tests in several processes: their number, the tests of each, and the ports of each."""

import os
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tools.stack import ports

GIB = 1024**3
STACKS = ("tests/system", "tests/browser")
"""Where the tests of a whole stack are. Those of a process share one."""
BREAKING = ("test_drills.py", "test_orders_faults.py", "test_resilience.py")
"""Of these, the files that mostly break it: they take about as long as all others."""
STACK_BROKEN, STACK_USED = "a stack that is broken", "a stack that is used"
LONGEST = (
    STACK_BROKEN,
    STACK_USED,
    *(
        f"tests/service/{file}"
        for file in (
            "billing/test_billing_processes.py",
            "chassis/messaging/test_publisher.py",
            "chassis/messaging/test_crashers.py",
            "chassis/messaging/test_queue_guard.py",
            "chassis/messaging/test_poison_properties.py",
            "customers/test_customers_events.py",
            "orders/mail/test_mail_smtp.py",
            "chassis/outbox/test_relay.py",
            "chassis/messaging/test_consumer.py",
            "chassis/messaging/test_consumer_memory.py",
            "chassis/messaging/test_broker_definitions.py",
            "billing/test_billing_saga.py",
            "orders/customer_replica/test_customer_replica.py",
            "gateway/test_gateway_events_delivery.py",
            "gateway/status/test_status.py",
            "orders/test_orders_saga.py",
            "chassis/http/test_health.py",
            "chassis/messaging/test_broker_start.py",
            "billing/test_billing_fairness.py",
            "billing/test_former_queues.py",
        )
    ),
)
"""These are begun first, so that no process works alone for long at the end."""
# memory of a process with a stack, and of one with a PostgreSQL and a RabbitMQ, in bytes
OF_A_STACK = 2 * GIB
OF_SERVERS = GIB // 2
# tests wait a lot, but more processes than this would compete for the cores
MORE_THAN_CORES = 3


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Each file by one process, and all files that use a stack by one or two; the longest first."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(super()._split_scope(nodeid))

    def _assign_work_unit(self, node: Any) -> None:
        self.workqueue.move_to_end(next_of(self.workqueue), last=False)
        super()._assign_work_unit(node)


def scope(file: str) -> str:
    """The name of the tests that one process runs together: a file, or files that share a stack."""
    path = PurePosixPath(file)
    if not file.startswith(STACKS):
        return file
    return STACK_BROKEN if path.name in BREAKING else STACK_USED


def next_of(scopes: Iterable[str]) -> str:
    """The scope that a process takes next: the longest of those known, else the first."""
    waiting = list(scopes)
    return next((scope for scope in LONGEST if scope in waiting), waiting[0])


def processes(available: int) -> int:
    """The number of processes for so much available memory, in bytes."""
    beside_stacks = max(0, available - 2 * OF_A_STACK) // OF_SERVERS
    stacks = min(2, available // OF_A_STACK)
    return max(1, min((os.cpu_count() or 1) + MORE_THAN_CORES, stacks + beside_stacks))


def own_ports(process: int, processes: int) -> str:
    """The range of ports for one of them."""
    first, last = map(int, ports.DEFAULT.split("-"))
    share = (last + 1 - first) // processes
    return f"{first + process * share}-{first + (process + 1) * share - 1}"


def take_own_ports() -> None:
    """Restrict this process to its range, if it is one of several."""
    name = os.environ.get("PYTEST_XDIST_WORKER")
    if name is not None:
        count = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.environ[ports.FREE_PORTS] = own_ports(int(name.removeprefix("gw")), count)
