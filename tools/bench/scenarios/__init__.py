"""The rows of the benchmark, by the names that `./stack bench NAME` knows."""

from collections.abc import Callable, Mapping

from tools.bench.environment import Stage
from tools.bench.figures import Row
from tools.bench.scenarios import (
    billing,
    drain,
    hanging,
    memory,
    pages,
    purge,
    reads,
    writes,
)

# memory last: it shows what the others left behind
ROWS: Mapping[str, Callable[[Stage], Row]] = {
    "reads": reads.measure,
    "hanging": hanging.measure,
    "billing": billing.measure,
    "drain": drain.measure,
    "writes": writes.measure,
    "pages": pages.measure,
    "purge": purge.measure,
    "memory": memory.measure,
}
