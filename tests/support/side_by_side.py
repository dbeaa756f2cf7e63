"""The tests in several processes: their number, the tests of each, and the ports of each."""

import os
from pathlib import PurePosixPath

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tools.stack import ports

GIB = 1024**3
STACKS = ("tests/system", "tests/browser")
"""Where the tests of a whole stack are. Those of a process share one."""
BREAKING = ("test_drills.py", "test_orders_faults.py", "test_resilience.py")
"""Of these, the files that mostly break it: they take about as long as all others."""
# memory of a process with a stack, and of one with a PostgreSQL and a RabbitMQ, in bytes
OF_A_STACK = 2 * GIB
OF_SERVERS = GIB // 2
# tests wait a lot, but more processes than this would compete for the cores
MORE_THAN_CORES = 3


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Each file by one process, and all files that use a stack by one or two."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(super()._split_scope(nodeid))


def scope(file: str) -> str:
    """The name of the tests that one process runs together: a file, or files that share a stack."""
    path = PurePosixPath(file)
    if not file.startswith(STACKS):
        return file
    return "a stack that is broken" if path.name in BREAKING else "a stack that is used"


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
