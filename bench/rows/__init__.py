"""The rows of the benchmark, by the names that `./stack bench NAME` knows."""

from collections.abc import Callable, Mapping

from bench.figures import Row
from bench.rows import billing, drain, hanging, memory, pages, purge, reads, writes
from bench.stage import Stage

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
