"""Memory of each process, idle and after the run, and how long the stack takes to start."""

import time

from tools.bench import usage
from tools.bench.environment import Stage
from tools.bench.figures import Row
from tools.stack import lifecycle
from tools.stack.console import megabytes

TITLE = "Memory of each process (PSS) and start-up time of the stack"
FIRST, AGAIN = "start with empty data", "start with data that are there"


def measure(stage: Stage) -> Row:
    """Compare memory with what it was when the stack was idle; stop the stack and start it."""
    stage.settle()
    after = usage.memory(stage.stack)
    rows = {name: _both(stage.idle.get(name, 0), size) for name, size in sorted(after.items())}
    rows["in all"] = _both(sum(stage.idle.values()), sum(after.values()))
    times = {FIRST: stage.times[FIRST], AGAIN: restart(stage)}
    facts = {name: f"{seconds:.1f} s" for name, seconds in times.items()}
    return Row("memory", TITLE, facts=facts | rows)


def _both(idle: int, after: int) -> str:
    return f"{megabytes(idle)} idle, {megabytes(after)} after the run"


def restart(stage: Stage) -> float:
    """Stop the stack and start it again; return how many seconds the start took."""
    lifecycle.down(stage.stack)
    began = time.monotonic()
    lifecycle.up(stage.stack)
    return time.monotonic() - began
