"""Memory of each process, idle and after the run, and start-up times of the stack."""

import time

from tools.bench import usage
from tools.bench.environment import Environment
from tools.bench.figures import Ratio, Result, at_most
from tools.stack import lifecycle
from tools.stack.console import megabytes

TITLE = "Memory of each process (PSS) and start-up time of the stack"
GIGABYTES = 1.1
FIRST, AGAIN = "start with empty data", "start with existing data"


def measure(environment: Environment) -> Result:
    """Compare memory with that of the idle stack; stop the stack and start it again."""
    environment.settle()
    after = usage.memory(environment.stack)
    rows = {
        name: _both(environment.idle.get(name, 0), size) for name, size in sorted(after.items())
    }
    rows["total"] = _both(sum(environment.idle.values()), sum(after.values()))
    times = {FIRST: environment.times[FIRST], AGAIN: restart(environment)}
    facts = {name: f"{seconds:.1f} s" for name, seconds in times.items()}
    return Result("memory", TITLE, ratios=[ratio(sum(after.values()))], facts=facts | rows)


def ratio(total: int) -> Ratio:
    """The aim: all processes of the stack together, after the run."""
    return at_most(GIGABYTES, "GB of the whole stack after the run", total, 1e9)


def _both(idle: int, after: int) -> str:
    return f"{megabytes(idle)} idle, {megabytes(after)} after the run"


def restart(environment: Environment) -> float:
    """Stop the stack and start it again; return how many seconds the start took."""
    lifecycle.down(environment.stack)
    began = time.monotonic()
    lifecycle.up(environment.stack)
    return time.monotonic() - began
