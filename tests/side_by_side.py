"""The tests in several processes: how many, and which ports are whose."""

import os

import psutil

from tools.stack import ports

# that each process may need for servers and a stack, in bytes
MEMORY = 3 * 1024**3


def processes() -> int:
    """How many there may be: one more than cores, since tests wait a lot, if memory suffices."""
    available = psutil.virtual_memory().available
    return max(1, min((os.cpu_count() or 1) + 1, available // MEMORY))


def own_ports(process: int, processes: int) -> str:
    """The part of the ports that one of them may take."""
    first, last = map(int, ports.DEFAULT.split("-"))
    share = (last + 1 - first) // processes
    return f"{first + process * share}-{first + (process + 1) * share - 1}"


def take_own_ports() -> None:
    """Keep to this process's part, if it is one of several."""
    name = os.environ.get("PYTEST_XDIST_WORKER")
    if name is not None:
        count = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.environ[ports.FREE_PORTS] = own_ports(int(name.removeprefix("gw")), count)
