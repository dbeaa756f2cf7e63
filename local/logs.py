"""The log files that PM2 writes, two for each process."""

from pathlib import Path


def files(logs: Path, name: str) -> list[Path]:
    """Where what process `name` says is written, in PM2's directory `logs`."""
    return [logs / f"{name}-{kind}.log" for kind in ("error", "out")]


def last_line(logs: Path, name: str) -> str:
    """The line that a process logged last; empty if there is none."""
    written = [file for file in files(logs, name) if file.exists() and file.stat().st_size]
    newest = max(written, key=lambda file: file.stat().st_mtime, default=None)
    return newest.read_text(errors="replace").strip().rpartition("\n")[2] if newest else ""
