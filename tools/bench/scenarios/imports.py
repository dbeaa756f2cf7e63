"""Importing orders of another system from a file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, at_most, ratio
from tools.bench.measure import Candidate, interleaved
from tools.stack.errors import StackError

TITLE = "Importing orders from a CSV file"
IMPORT, PREFIX = "import", "bench-import-"
# the seconds of a whole command, its start included, for so many orders
SECONDS, ORDERS = 6.0, 100_000
HEAD = "order_id,customer_id,total_amount,status,created_at"
DELETE = f"""
    WITH imported AS (SELECT id FROM orders WHERE starts_with(order_id, '{PREFIX}')),
         history AS (DELETE FROM order_history WHERE order_pk IN (SELECT id FROM imported))
    DELETE FROM orders WHERE id IN (SELECT id FROM imported)
"""


def lines(orders: int) -> Iterator[str]:
    """The file's lines: so many completed orders of a thousand customers."""
    yield HEAD
    for number in range(orders):
        amount = f"{number % 500 + 1}.{number % 100:02}"
        yield f"{PREFIX}{number},{number % 1000 + 1},{amount},completed,2026-01-01T12:00:00Z"


def measure(environment: Environment) -> Result:
    """Measure the whole command, from its start to its end."""
    orders = environment.sizes.imported
    file = environment.stack.home / "orders.csv"
    file.write_text("\n".join(lines(orders)) + "\n")

    def run() -> Sample:
        began = time.monotonic()
        said = environment.run("-m", "orders", "import", str(file))
        if f"loaded: {orders};" not in said:
            raise StackError(f"orders import did not load {orders} orders: {said.strip()}")
        return Sample(orders / (time.monotonic() - began))

    @contextmanager
    def around() -> Iterator[None]:
        yield
        # the next turn imports them again
        environment.query("orders", DELETE)
        environment.query("orders", "VACUUM ANALYZE orders")

    what = f"python -m orders import, {orders:,} orders; its own CPU time is the load generator's"
    candidates = [Candidate(IMPORT, what, run, around)]
    figures = interleaved(environment.stack, candidates, environment.sizes.rounds)
    return Result("import", TITLE, figures, ratios(figures, orders))


def ratios(figures: list[Figure], orders: int) -> list[Ratio]:
    """The seconds of the whole command; a quick run's fewer orders have no aim."""
    [figure] = figures
    text = f"seconds for {orders:,} orders"
    if orders < ORDERS:
        return [ratio(text, orders, figure.rate)]
    return [at_most(SECONDS, text, orders, figure.rate)]
