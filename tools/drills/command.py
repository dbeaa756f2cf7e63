"""./stack drill: chooses the drills and the platform, runs them, and reports."""

import math
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from chassis.printable import escaped_line
from tools.drills import catalogue
from tools.drills.checks.findings import BROKEN, Finding
from tools.drills.report import page, table
from tools.drills.report.result import Result
from tools.drills.run import Runner
from tools.drills.targets.platform import Platform
from tools.drills.targets.stack_platform import StackPlatform
from tools.drills.workload.load import Load
from tools.stack.command_line import Documented, Words
from tools.stack.console import say, show
from tools.stack.errors import StackError
from tools.stack.layout import INSTALLED
from tools.stack.lock import alone
from tools.stack.stack import Stack

ARTIFACTS = INSTALLED / "drills"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LARGEST_SEED = 1_000_000
NAME = Words(lambda _context, _before: (one.name for one in catalogue.DRILLS))


class Positive(click.ParamType[float]):
    """A number above 0."""

    name = "number"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the number."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is no number", param, ctx)
        if not 0 < number < math.inf:
            self.fail(f"{value} is not above 0", param, ctx)
        return number


@click.command(
    cls=Documented,
    example="./stack drill broker-killed gateway-killed\n./stack drill --report drills.html",
)
@click.argument("names", nargs=-1, metavar="[NAME]...", type=NAME)
@click.option("--list", "listing", is_flag=True, help="List the drills.")
@click.option("--vagrant", is_flag=True, help="Act on the machines of `vagrant up`.")
@click.option(
    "--seconds",
    type=Positive(),
    default=30.0,
    show_default="30",
    help="Seconds of traffic per drill.",
)
@click.option(
    "--rate", type=Positive(), default=20.0, show_default="20", help="Requests per second."
)
@click.option("--seed", type=int, help="Repeat the random choices of another run.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Write a report, as one HTML page.",
)
def drill(
    names: tuple[str, ...],
    listing: bool,
    vagrant: bool,
    seconds: float,
    rate: float,
    seed: int | None,
    report: Path | None,
) -> int:
    """Inject faults under live traffic, and check that nothing was lost or duplicated.

    Without a NAME all drills run, one after another, which takes about a quarter of an hour. The
    exit status is 1 if any check fails.
    """
    if listing:
        say(catalogue.listing())
        return 0
    load = Load(seconds, rate, random.randrange(LARGEST_SEED) if seed is None else seed)
    return run(Stack.as_started(), catalogue.chosen(names), load, vagrant, report)


def run(
    stack: Stack, chosen: Sequence[catalogue.Drill], load: Load, vagrant: bool, report: Path | None
) -> int:
    """Run drills and print their results; returns 1 if any failed. Raises StackError."""
    if report:
        _check_writable(report)
    with alone(stack.home), _signals_interrupt():
        results = _run_all(chosen, _platform(stack, vagrant), load)
    traffic = f"{load.seconds:g} s of traffic a drill, {load.rate:g} requests per second"
    say(f"{traffic}, --seed {load.seed}")
    show(table.describe(results))
    if report:
        report.write_text(page.render(results, load))
        say(f"The report is in {report}")
    return 0 if all(result.good for result in results) else 1


def _check_writable(report: Path) -> None:
    """Fail now, and not after a quarter of an hour, if the report can't be written."""
    try:
        report.open("a").close()
    except OSError as error:
        raise StackError(f"{report} can't be written: {error.strerror}.") from None


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Turn signals that end the process into KeyboardInterrupt, so that faults are undone."""
    before = {sign: signal.signal(sign, signal.default_int_handler) for sign in SIGNALS}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _platform(stack: Stack, vagrant: bool) -> Platform:
    if vagrant:
        from tools.drills.targets.vagrant_platform import VagrantPlatform

        return VagrantPlatform.of_checkout()
    return StackPlatform(stack)


def _run_all(chosen: Sequence[catalogue.Drill], platform: Platform, load: Load) -> list[Result]:
    platform.check()
    runner = Runner(platform, load, ARTIFACTS, progress)
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
    """Run a drill; one that can't start is the last, and earlier results are still reported."""
    try:
        return runner.run(one)
    except StackError as error:
        broken = Finding(BROKEN, "the drill", str(error))
        return Result(one.name, findings=[broken], abandoned=True)


def progress(text: str) -> None:
    """Show progress in one line that is overwritten, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{escaped_line(text)[:120]}")
        sys.stderr.flush()
