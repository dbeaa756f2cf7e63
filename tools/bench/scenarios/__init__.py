"""The scenarios of the benchmark, by the names that `./stack bench NAME` takes."""

from collections.abc import Callable, Mapping

from tools.bench.environment import Environment
from tools.bench.figures import Result
from tools.bench.scenarios import (
    billing,
    bills,
    curve,
    drain,
    hanging,
    imports,
    inbox,
    memory,
    mix,
    pages,
    purge,
    reads,
    writes,
)

Scenario = Callable[[Environment], Result]
# memory is last, since it shows the memory after the others
DEFAULT: Mapping[str, Scenario] = {
    "reads": reads.measure,
    "hanging": hanging.measure,
    "billing": billing.measure,
    "drain": drain.measure,
    "writes": writes.measure,
    "import": imports.measure,
    "mix": mix.measure,
    "curve": curve.measure,
    "pages": pages.measure,
    "memory": memory.measure,
}
LONG: Mapping[str, Scenario] = {
    "purge": purge.measure,
    "growth-movies": pages.measure_growth,
    "growth-bills": bills.measure,
    "growth-outbox": purge.measure_growth,
    "growth-inbox": inbox.measure,
}
"""Rows that take many minutes, and run only when they are named."""
SCENARIOS = {**LONG, **DEFAULT}
