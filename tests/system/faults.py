"""Processes that are killed."""

import os
import signal

from local.stack import Stack
from local.waiting import wait_until


def pid(stack: Stack, name: str) -> int:
    """The process that PM2 runs under `name`, 0 if it runs none."""
    return next(int(entry.pid) for entry in stack.process_manager.entries() if entry.name == name)


def kill(stack: Stack, name: str) -> None:
    """Kill -9 one process of PM2's, as soon as it runs."""
    wait_until(lambda: pid(stack, name) > 0, 20, f"{name} to run")
    os.kill(pid(stack, name), signal.SIGKILL)
