"""What all processes logged under one id, in order."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path


def find(logs: Path, identifier: str) -> list[str]:
    """The lines of all log files in `logs` that hold `identifier`, each behind its process' name.

    Part of a longer id is not found. Sorted by their `timestamp`; a line that is not JSON has none,
    and comes first.
    """
    found: list[tuple[str, str]] = []
    for file in sorted(logs.glob("*.log")):
        with file.open(errors="replace") as lines:
            found += list(select(lines, process_of(file), identifier))
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]


def select(lines: Iterable[str], process: str, identifier: str) -> Iterator[tuple[str, str]]:
    """Of `lines`, those with `identifier` as a whole: timestamp and text to show."""
    whole = _whole(identifier)
    for line in lines:
        if whole.search(line):
            yield timestamp(line), f"{process:<17} {line.rstrip()}"


def _whole(identifier: str) -> re.Pattern[str]:
    """What finds an id, but not as part of a longer one; a sentence may end after it."""
    before, after = r"(?<![\w-])(?<!\w[./+])", r"(?![\w-])(?![.:/+=][\w-])"
    return re.compile(before + re.escape(identifier) + after)


def timestamp(line: str) -> str:
    """The field `timestamp` (ISO 8601, UTC) of a JSON line; empty if there is none."""
    try:
        fields = json.loads(line)
    except ValueError:
        return ""
    return str(fields.get("timestamp", "")) if isinstance(fields, dict) else ""


def process_of(file: Path) -> str:
    """The process that PM2 writes a log file for: `billing-api` for billing-api-out.log."""
    return file.stem.removesuffix("-out").removesuffix("-error")
