"""The results of drills as a table for the terminal."""

from collections.abc import Sequence

from chassis.printable import escaped
from tools.drills.report.result import LIMIT_SECONDS, Result
from tools.stack.console import state, table

HEADINGS = (
    "drill",
    "accepted",
    "recorded once",
    "lost",
    "repeated",
    "refused",
    "worst answer",
    "recovery",
    "no answer",
    "improper",
    "",
)
SHOWN = 10


def describe(results: Sequence[Result]) -> str:
    """A row for each drill, and below it the findings; for `show`."""
    rows = [HEADINGS, *(row(result) for result in results if not result.skipped)]
    skipped = [f"  {line(result)}" for result in results if result.skipped]
    wrong = [words for result in results for words in _wrong(result)]
    return "\n".join([table(rows, state), *map(escaped, [*skipped, *wrong])])


def line(result: Result) -> str:
    """One drill in one line."""
    if result.skipped:
        return f"{result.name}: skipped: {result.skipped}"
    return (
        f"{result.name}: {_outcome(result)}; {result.accepted} accepted, {result.once} recorded"
        f" once, {result.lost} lost, {result.repeated} repeated, recovered in {_recovery(result)}"
    )


def row(result: Result) -> tuple[str, ...]:
    """The cells of one drill."""
    figures = (result.accepted, result.once, result.lost, result.repeated, result.refused)
    times = (f"{result.worst:.2f} s", _recovery(result))
    more = (str(result.unanswered), str(result.improper), _outcome(result))
    return (result.name, *map(str, figures), *times, *more)


def _recovery(result: Result) -> str:
    if result.recovery is None:
        return f"over {LIMIT_SECONDS:.0f} s"
    return f"{result.recovery:.1f} s"


def _outcome(result: Result) -> str:
    return "good" if result.good else "FAILED"


def _wrong(result: Result) -> list[str]:
    if result.good:
        return []
    words = [f"    {finding.verdict}: {finding.words}" for finding in result.findings]
    more = [f"    and {len(words) - SHOWN} more"] if len(words) > SHOWN else []
    place = f": details in {result.left}" if result.left else ""
    return [f"\n  {result.name}{place}", *words[:SHOWN], *more]
