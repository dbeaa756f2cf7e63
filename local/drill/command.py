"""./stack drill: which drills, on what, and what is said of them."""

import argparse
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chassis.printable import escaped_line
from local.console import say
from local.drill import catalogue, page, table
from local.drill.findings import BROKEN, Finding
from local.drill.load import Load
from local.drill.platform import Platform
from local.drill.result import Result
from local.drill.run import Runner
from local.drill.stack_platform import StackPlatform
from local.errors import StackError
from local.layout import INSTALLED
from local.lock import alone
from local.stack import Stack

PLACE = INSTALLED / "drills"
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LARGEST_SEED = 1_000_000


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what the command line may hold."""
    command.add_argument("names", nargs="*", metavar="NAME")
    command.add_argument("--list", action="store_true", help="say which drills there are")
    command.add_argument("--vagrant", action="store_true", help="act on the machines")
    command.add_argument("--seconds", type=_positive, default=30.0, help="of traffic per drill")
    command.add_argument("--rate", type=_positive, default=20.0, help="requests per second")
    command.add_argument("--seed", type=int, help="repeats the random moments of another run")
    command.add_argument("--report", type=Path, metavar="FILE.html")


def drill(stack: Stack, options: argparse.Namespace) -> int:
    """Break things under traffic, and judge what became of it; 1 if anything went wrong."""
    if options.list:
        say(catalogue.listing())
        return 0
    chosen = catalogue.chosen(options.names)
    if options.report:
        _check_writable(options.report)
    seed = random.randrange(LARGEST_SEED) if options.seed is None else options.seed
    load = Load(options.seconds, options.rate, seed)
    with alone(stack.home), _undoing():
        results = _run_all(chosen, _platform(stack, options), load)
    say(f"{load.seconds:g} s of traffic a drill, {load.rate:g} requests per second, --seed {seed}")
    say(table.describe(results))
    if options.report:
        options.report.write_text(page.render(results, load))
        say(f"The report is in {options.report}")
    return 0 if all(result.good for result in results) else 1


def _check_writable(report: Path) -> None:
    """Say now, and not after a quarter of an hour, that a report can't be written."""
    try:
        report.open("a").close()
    except OSError as error:
        raise StackError(f"{report} can't be written: {error.strerror}.") from None


@contextmanager
def _undoing() -> Iterator[None]:
    """Have whatever ends the block raise KeyboardInterrupt, so that what it did is undone."""
    before = {sign: signal.signal(sign, signal.default_int_handler) for sign in ENDING}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _platform(stack: Stack, options: argparse.Namespace) -> Platform:
    if options.vagrant:
        from local.drill.vagrant_platform import VagrantPlatform

        return VagrantPlatform.of_checkout()
    return StackPlatform(stack)


def _run_all(chosen: Sequence[catalogue.Drill], platform: Platform, load: Load) -> list[Result]:
    platform.check()
    runner = Runner(platform, load, PLACE, progress)
    results = []
    for one in chosen:
        result = _run(runner, one)
        progress("")
        say(table.line(result))
        results.append(result)
        if result.abandoned:
            break
    return results


def _run(runner: Runner, one: catalogue.Drill) -> Result:
    """Run a drill; one that can't begin or be undone is the last, and what others found is told."""
    try:
        return runner.run(one)
    except StackError as error:
        broken = Finding(BROKEN, "the drill", str(error))
        return Result(one.name, findings=[broken], abandoned=True)


def progress(text: str) -> None:
    """Show what goes on in one line that is written over, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{escaped_line(text)[:120]}")
        sys.stderr.flush()


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value
