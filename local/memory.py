"""How much memory each process of a stack takes."""

from local import processes
from local.console import megabytes, table
from local.stack import Stack

LONGEST = 70


def describe(stack: Stack) -> str:
    """A table of proportional set sizes, the largest first, and their sum."""
    sizes = sorted(((processes.pss(pid), pid) for pid in stack.pids()), reverse=True)
    rows = [(megabytes(size), str(pid), label(stack, pid)) for size, pid in sizes]
    total = (megabytes(sum(size for size, _ in sizes)), "", "in all")
    return table([("PSS", "pid", "process"), *rows, total])


def label(stack: Stack, pid: int) -> str:
    """What a process is: its PM2 name, or its command line."""
    name = processes.environment(pid).get("name")
    command = processes.command(pid).replace(str(stack.home), "")
    return (f"{name}: {command}" if name else command)[:LONGEST]
