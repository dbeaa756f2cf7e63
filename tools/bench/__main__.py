"""`./stack bench`: measure, and say what was measured."""

import logging
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from tools.bench import machine, report, usage
from tools.bench.document import Run, write
from tools.bench.environment import Stage, overrides
from tools.bench.figures import Row
from tools.bench.scenarios import ROWS
from tools.bench.scenarios.memory import FIRST
from tools.bench.sizes import FULL, QUICK, Sizes
from tools.stack import lifecycle
from tools.stack.command_line import Documented, Known
from tools.stack.console import say, step, table
from tools.stack.layout import INSTALLED
from tools.stack.progress import PROGRESS
from tools.stack.servers.data_directories import private_home
from tools.stack.stack import Stack

KEPT = INSTALLED / "bench"
FILE = click.Path(path_type=Path, dir_okay=False)


@contextmanager
def opened(sizes: Sizes) -> Iterator[Stage]:
    """Start a stack of the benchmark's own for a block, and remove it afterwards."""
    with private_home() as home:
        stack = Stack.private(home, **overrides())
        stage = Stage(stack, sizes, say)
        began = time.monotonic()
        try:
            with step("stack of its own", say) as outcome:
                lifecycle.up(stack)
                outcome.text = "started"
            stage.times[FIRST] = time.monotonic() - began
            stage.settle()
            stage.idle = usage.memory(stack)
            yield stage
        finally:
            with PROGRESS.of("ending the stack of its own"):
                lifecycle.down(stack)


def run(sizes: Sizes, names: Sequence[str]) -> Run:
    """Measure the rows of these names, or all of them."""
    before, started = machine.load(), machine.now()
    if warning := machine.warning(before):
        say(warning)
    with opened(sizes) as stage:
        facts = machine.facts(stage)
        say(table(list(facts.items())))
        rows = [_measured(stage, name) for name in ROWS if name in (names or ROWS)]
    return Run(started, facts, before, rows)


def _measured(stage: Stage, name: str) -> Row:
    load = machine.load()
    with PROGRESS.of(name):
        row = replace(ROWS[name](stage), load=load)
        stage.settle()
    say(f"\n{report.text(row)}")
    return row


@click.command(cls=Documented, example="./stack bench reads billing --quick --markdown figures.md")
@click.argument("rows", nargs=-1, metavar="[ROW]...", type=Known("row", lambda: ROWS))
@click.option("--quick", is_flag=True, help="Smaller numbers, about two minutes.")
@click.option("--json", "samples", type=FILE, metavar="FILE", help="Write all samples, as JSON.")
@click.option("--markdown", type=FILE, metavar="FILE", help="Write the tables, as Markdown.")
def bench(rows: tuple[str, ...], quick: bool, samples: Path | None, markdown: Path | None) -> None:
    """Measure how fast it is, beside rivals, on a stack of its own.

    A ROW is one of reads, hanging, billing, drain, writes, pages, purge and memory; without one
    all are measured, which takes about a quarter of an hour.
    """
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    # nothing that was started may go on
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    done = run(QUICK if quick else FULL, rows)
    kept = KEPT / f"{done.time.replace(':', '')}.json"
    write(done, kept, *([samples] if samples else []))
    if markdown:
        report.put(markdown, report.document(done))
    say(f"\nAll samples: {kept}")


if __name__ == "__main__":
    bench.main(sys.argv[1:], prog_name="./stack bench")
