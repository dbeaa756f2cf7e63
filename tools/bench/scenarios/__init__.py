"""The scenarios of the benchmark, by the names that `./stack bench NAME` takes."""

from collections.abc import Callable, Mapping

from tools.bench.environment import Environment
from tools.bench.figures import Result
from tools.bench.scenarios import (
    billing,
    curve,
    drain,
    hanging,
    imports,
    memory,
    mix,
    pages,
    purge,
    reads,
    writes,
)

# memory is last, since it shows the memory after the others
SCENARIOS: Mapping[str, Callable[[Environment], Result]] = {
    "reads": reads.measure,
    "hanging": hanging.measure,
    "billing": billing.measure,
    "drain": drain.measure,
    "writes": writes.measure,
    "import": imports.measure,
    "mix": mix.measure,
    "curve": curve.measure,
    "pages": pages.measure,
    "purge": purge.measure,
    "memory": memory.measure,
}
