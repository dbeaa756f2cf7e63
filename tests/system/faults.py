"""Processes that are killed."""

import os
import signal

from local.processes import environment, parent
from local.stack import Stack
from local.waiting import wait_until


def pid(stack: Stack, name: str) -> int:
    """The process that PM2 runs under `name`, 0 if it runs none.

    By /proc, since a call of PM2 takes a second, in which much can happen.
    """
    daemon = stack.process_manager.daemon()
    children = (child for child in stack.process_manager.pids() if parent(child) == daemon)
    return next((child for child in children if environment(child).get("name") == name), 0)


def kill(stack: Stack, name: str) -> None:
    """Kill -9 one process of PM2's, as soon as it runs."""
    found: list[int] = []

    def runs() -> bool:
        found.append(pid(stack, name))
        return found[-1] > 0

    wait_until(runs, 30, f"{name} to run")
    os.kill(found[-1], signal.SIGKILL)
