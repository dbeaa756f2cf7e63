"""The CPU time and memory of processes, by their well-known names."""

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import psutil

from tools.stack import processes
from tools.stack.stack import Stack

GENERATOR = "load generator"


class Usage(NamedTuple):
    """What the processes used during a measurement.

    Attributes:
        cpu: CPU seconds by process.
        memory: proportional set sizes in bytes by process, at the end.
        others: the average number of cores used by programs outside the benchmark.
    """

    cpu: Mapping[str, float]
    memory: Mapping[str, int]
    others: float


class Meter:
    """Measures what the processes of a stack use from its construction on."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._cpu = cpu_seconds(stack)
        self._began, self._busy = time.monotonic(), _busy_seconds()

    def read(self) -> Usage:
        """The usage since then."""
        seconds, busy = time.monotonic() - self._began, _busy_seconds() - self._busy
        now = cpu_seconds(self._stack)
        # a process that has ended can no longer be read
        cpu = {name: max(used - self._cpu.get(name, 0.0), 0.0) for name, used in now.items()}
        others = max(busy - sum(cpu.values()), 0.0) / seconds if seconds else 0.0
        return Usage(cpu, memory(self._stack), others)


def added(usages: list[Usage]) -> Usage:
    """Several usages as one: the sum of CPU times, the largest memory, the mean of the others."""
    cpu: defaultdict[str, float] = defaultdict(float)
    sizes: defaultdict[str, int] = defaultdict(int)
    for usage in usages:
        for name, seconds in usage.cpu.items():
            cpu[name] += seconds
        for name, size in usage.memory.items():
            sizes[name] = max(sizes[name], size)
    return Usage(dict(cpu), dict(sizes), sum(u.others for u in usages) / max(len(usages), 1))


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """The CPU seconds that a stack's processes, and the benchmark itself, have used so far."""
    used: defaultdict[str, float] = defaultdict(float)
    for pid, name in names(stack).items():
        used[name] += processes.cpu_seconds(pid)
    own = os.times()
    used[GENERATOR] = own.user + own.system + own.children_user + own.children_system
    return dict(used)


def memory(stack: Stack) -> dict[str, int]:
    """The proportional set sizes of a stack's processes, in bytes."""
    sizes: defaultdict[str, int] = defaultdict(int)
    for pid, name in names(stack).items():
        sizes[name] += processes.pss(pid)
    return dict(sizes)


def names(stack: Stack) -> dict[int, str]:
    """The name of each process of a stack: of PM2, a server or a baseline."""
    servers = {pid: name for name, server in stack.servers().items() for pid in server.pids()}
    return {pid: servers.get(pid) or _name(pid) for pid in stack.pids()}


def _name(pid: int) -> str:
    # PM2 and the benchmark set this variable to the name
    return processes.environment(pid).get("name") or processes.name(pid).split(" ")[0]


def _busy_seconds() -> float:
    """The seconds that all cores together have been busy."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
