"""The memory of each process of a stack."""

from tools.stack import processes
from tools.stack.console import megabytes, table
from tools.stack.stack import Stack

LONGEST = 70


def describe(stack: Stack) -> str:
    """A table of proportional set sizes (PSS), the largest first, and their sum."""
    sizes = sorted(((processes.pss(pid), pid) for pid in stack.pids()), reverse=True)
    owners = {pid: name for name, server in stack.servers().items() for pid in server.pids()}
    rows = [(megabytes(size), str(pid), label(stack, pid, owners.get(pid))) for size, pid in sizes]
    total = (megabytes(sum(size for size, _ in sizes)), "", "in all")
    return table([("PSS", "pid", "process"), *rows, total])


def label(stack: Stack, pid: int, server: str | None) -> str:
    """The label of a process: its `server` or PM2 name, and its command line."""
    name = server or processes.environment(pid).get("name")
    command = processes.command(pid).replace(str(stack.home), "")
    return (f"{name}: {command}" if name else command)[:LONGEST]
