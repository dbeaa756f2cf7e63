"""The files of a failed drill, which show what happened."""

import json
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from tools.drills.report.result import Result
from tools.drills.workload.history import Answer
from tools.stack.trace import timestamp

LAST_LINES = 2000


def keep(result: Result, answers: Sequence[Answer], directory: Path) -> None:
    """Write the findings and every client's answers into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    findings = [{"verdict": f.verdict, "of": f.of, "what": f.words} for f in result.findings]
    summary = {**result.figures(), "findings": findings, "notes": result.notes()}
    (directory / "findings.json").write_text(json.dumps(summary, indent=2) + "\n")
    lines = (json.dumps(_line(answer, result.began)) + "\n" for answer in answers)
    (directory / "answers.jsonl").write_text("".join(lines))


def _line(answer: Answer, began: float) -> dict[str, object]:
    request = answer.request
    return {
        "second": round(answer.at - began, 3),
        "request": f"{request.method} {request.path}",
        "name": request.name,
        "key": request.key,
        "verdict": answer.verdict.value,
        "status": answer.status,
        "id": answer.id,
        "seconds": round(answer.seconds, 3),
        "detail": answer.detail,
    }


def keep_window(logs: Path, directory: Path, began: float, ended: float) -> None:
    """Copy the lines of PM2's log files within a window, and those without a time."""
    start, end = _iso(began), _iso(ended)
    for file in sorted(logs.glob("*.log")):
        with file.open(errors="replace") as lines:
            within = [line for line in lines if start <= (timestamp(line) or start) <= end]
        (directory / file.name).write_text("".join(within))


def keep_ends(name: str, files: Iterable[Path], directory: Path) -> None:
    """Copy the last lines of a server's log files."""
    for file in filter(Path.exists, files):
        with file.open(errors="replace") as lines:
            last = deque(lines, LAST_LINES)
        (directory / f"{name}-{file.name}").write_text("".join(last))


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
