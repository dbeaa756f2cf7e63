"""`./stack bench`: measure, and say what was measured."""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench import machine, report, usage
from bench.document import Run, write
from bench.figures import Row
from bench.rows import ROWS
from bench.rows.memory import FIRST
from bench.sizes import FULL, QUICK, Sizes
from bench.stage import Stage, overrides
from local.console import say, table
from local.errors import StackError
from local.homes import private_home
from local.layout import INSTALLED
from local.stack import Stack

KEPT = INSTALLED / "bench"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="./stack bench", description=__doc__)
    root.add_argument("rows", nargs="*", choices=[*ROWS, []], metavar="ROW", help=", ".join(ROWS))
    root.add_argument("--quick", action="store_true", help="smaller numbers, about two minutes")
    root.add_argument("--json", type=Path, metavar="FILE", help="all samples, as JSON")
    root.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="the tables, as Markdown",
    )
    return root


@contextmanager
def opened(sizes: Sizes) -> Iterator[Stage]:
    """Start a stack of the benchmark's own for a block, and remove it afterwards."""
    with private_home() as home:
        stack = Stack.private(home, **overrides())
        stage = Stage(stack, sizes, say)
        began = time.monotonic()
        try:
            stack.up()
            stage.times[FIRST] = time.monotonic() - began
            stage.settle()
            stage.idle = usage.memory(stack)
            yield stage
        finally:
            stack.down()


def run(options: argparse.Namespace) -> Run:
    """Measure the rows that were asked for, or all of them."""
    before, started = machine.load(), machine.now()
    if warning := machine.warning(before):
        say(warning)
    with opened(QUICK if options.quick else FULL) as stage:
        facts = machine.facts(stage)
        say(table(list(facts.items())))
        rows = [_measured(stage, name) for name in ROWS if name in (options.rows or ROWS)]
    return Run(started, facts, before, rows)


def _measured(stage: Stage, name: str) -> Row:
    load = machine.load()
    row = replace(ROWS[name](stage), load=load)
    stage.settle()
    say(f"\n{report.text(row)}")
    return row


def main(words: Sequence[str]) -> int:
    """Parse, measure, write; an expected failure is one sentence and exit status 1."""
    options = parser().parse_args(words)
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    # nothing that was started may go on
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        done = run(options)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    kept = KEPT / f"{done.time.replace(':', '')}.json"
    write(done, kept, *([options.json] if options.json else []))
    if options.markdown:
        report.put(options.markdown, report.document(done))
    say(f"\nAll samples: {kept}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
