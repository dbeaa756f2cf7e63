"""The log files that PM2 writes, two for each process, and how files are read as one log."""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

# a service's line of JSON, or a line of PostgreSQL or RabbitMQ
_MOMENT = re.compile(
    r'(?:^|"timestamp": ?")(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d+)?(Z| UTC|[+-]\d\d:\d\d)'
)
_CHUNK = 64 * 1024


def files(logs: Path, name: str) -> list[Path]:
    """Where what process `name` says is written, in PM2's directory `logs`."""
    return [logs / f"{name}-{kind}.log" for kind in ("error", "out")]


def last_line(logs: Path, name: str) -> str:
    """The line that a process logged last; empty if there is none."""
    written = [file for file in files(logs, name) if file.exists() and file.stat().st_size]
    newest = max(written, key=lambda file: file.stat().st_mtime, default=None)
    return newest.read_text(errors="replace").strip().rpartition("\n")[2] if newest else ""


def recent(logs: Sequence[Path], count: int) -> tuple[list[str], dict[Path, int]]:
    """The last `count` lines of all these files, the newest last, and where each file ended then.

    A line without a date belongs to the one before it; in a file without dates, such as that of
    tracebacks, all lines are as old as the file's last change.
    """
    dated: list[tuple[float, str]] = []
    ends = {}
    for file in logs:
        lines, ends[file] = tail(file, count)
        dated += zip(_moments(lines, file.stat().st_mtime), lines, strict=True)
    newest = sorted(dated, key=lambda pair: pair[0])[-count:] if count else []
    return [line for _, line in newest], ends


def tail(file: Path, count: int) -> tuple[list[str], int]:
    """The last `count` lines of a file, and its size in bytes when they were read."""
    with file.open("rb") as stream:
        end = place = stream.seek(0, os.SEEK_END)
        read = b""
        while place and read.count(b"\n") <= count:
            start = max(0, place - _CHUNK)
            stream.seek(start)
            read, place = stream.read(place - start) + read, start
    lines = read.decode(errors="backslashreplace").removesuffix("\n").split("\n") if read else []
    return lines[-count:] if count else [], end


def moment(line: str) -> float | None:
    """When a line says that it was written, in seconds since 1970; None if it does not say."""
    found = _MOMENT.search(line)
    if found is None:
        return None
    day, fraction, zone = found.groups()
    offset = "+00:00" if zone in ("Z", " UTC") else zone
    try:
        return datetime.fromisoformat(day + offset).timestamp() + float(fraction or 0)
    except ValueError:
        return None


def _moments(lines: Sequence[str], changed: float) -> Iterator[float]:
    moments = [moment(line) for line in lines]
    last = next((time for time in moments if time is not None), changed)
    for time in moments:
        last = last if time is None else time
        yield last
