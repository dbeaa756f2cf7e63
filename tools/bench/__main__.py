"""`./stack bench`: measure, and report the figures."""

import logging
import signal
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from tools.bench import machine, page, report, usage
from tools.bench.document import Run, write
from tools.bench.environment import Environment, overrides
from tools.bench.figures import Result
from tools.bench.scenarios import DEFAULT, SCENARIOS
from tools.bench.scenarios.memory import FIRST
from tools.bench.sizes import FULL, QUICK, Sizes
from tools.stack import lifecycle
from tools.stack.command_line import Documented, Known
from tools.stack.console import say, step, table
from tools.stack.layout import INSTALLED
from tools.stack.progress import PROGRESS
from tools.stack.servers.data_directories import private_home
from tools.stack.stack import Stack

RESULTS = INSTALLED / "bench"
FILE = click.Path(path_type=Path, dir_okay=False)


@contextmanager
def opened(sizes: Sizes) -> Iterator[Environment]:
    """Run a separate stack for a block, and remove it afterwards."""
    with private_home() as home:
        stack = Stack.private(home, **overrides())
        environment = Environment(stack, sizes, say)
        began = time.monotonic()
        try:
            with step("separate stack", say) as outcome:
                lifecycle.up(stack)
                outcome.text = "started"
            environment.times[FIRST] = time.monotonic() - began
            environment.settle()
            environment.idle = usage.memory(stack)
            yield environment
        finally:
            with PROGRESS.of("stopping the separate stack"):
                lifecycle.down(stack)


def run(sizes: Sizes, names: Sequence[str]) -> Generator[Run]:
    """Measure the scenarios of these names, or without any all that are not long.

    Yields the run so far after each one, so that a failure loses no earlier result.
    """
    before, started = machine.load(), machine.now()
    if warning := machine.warning(before):
        say(warning)
    with opened(sizes) as environment:
        facts = machine.facts(environment)
        say(table(list(facts.items())))
        results: list[Result] = []
        for name in chosen(names):
            results.append(_measured(environment, name))
            yield Run(started, facts, before, list(results))


def chosen(names: Sequence[str]) -> list[str]:
    """The names of the rows to measure, in their order."""
    return [name for name in SCENARIOS if name in (names or DEFAULT)]


def _measured(environment: Environment, name: str) -> Result:
    load = machine.load()
    with PROGRESS.of(name):
        result = replace(SCENARIOS[name](environment), load=load)
        environment.settle()
    say(f"\n{report.text(result)}")
    return result


@click.command(cls=Documented, example="./stack bench reads billing --quick --markdown figures.md")
@click.argument("rows", nargs=-1, metavar="[ROW]...", type=Known("row", lambda: SCENARIOS))
@click.option("--quick", is_flag=True, help="Smaller numbers, about five minutes.")
@click.option("--json", "samples", type=FILE, metavar="FILE", help="Write all samples, as JSON.")
@click.option(
    "--markdown", type=FILE, metavar="FILE", help="Write tables and plots, as Markdown and SVG."
)
def bench(rows: tuple[str, ...], quick: bool, samples: Path | None, markdown: Path | None) -> None:
    """Measure how fast it is, beside baselines, on a separate stack.

    A ROW is one of reads, hanging, billing, drain, writes, import, mix, curve, pages and
    memory; without one all are measured, which takes about twenty minutes. Rows that take
    many minutes run only when they are named: purge, growth-movies, growth-bills, growth-outbox
    and growth-inbox.
    """
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    # so that everything that was started is stopped
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with closing(run(QUICK if quick else FULL, rows)) as runs:
        for done in runs:
            kept = RESULTS / f"{done.time.replace(':', '')}.json"
            write(done, kept, *([samples] if samples else []))
            if markdown:
                page.put(markdown, done)
    say(f"\nAll samples: {kept}")


if __name__ == "__main__":
    bench.main(sys.argv[1:], prog_name="./stack bench")
