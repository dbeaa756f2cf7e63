"""Finds PM2's processes without calling PM2: a call takes a second, in which much can happen."""

import signal

from tools.stack import processes
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until


def pid(stack: Stack, name: str) -> int:
    """The id of the process that PM2 runs under `name`, 0 if it runs none."""
    pm2 = stack.process_manager
    daemon = pm2.daemon()
    children = (child for child in pm2.pids() if processes.parent(child) == daemon)
    return next((p for p in children if processes.environment(p).get("name") == name), 0)


def kill(stack: Stack, name: str) -> None:
    """Kill -9 a process, as soon as it runs. Raises StackError if it does not within 30 s."""
    wait_until(lambda: pid(stack, name) > 0, 30, f"{name} to run")
    processes.signal_all([pid(stack, name)], signal.SIGKILL)
