"""A whole run as one JSON document."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.bench.figures import Figure, Row


@dataclass(frozen=True)
class Run:
    """A run: when, on what, how quiet it was before, and what was measured."""

    time: str
    facts: Mapping[str, str]
    load: float
    rows: Sequence[Row]


def document(run: Run) -> dict[str, Any]:
    """What goes into the file: every sample, its medians, and what follows."""
    return {
        "time": run.time,
        "machine": dict(run.facts),
        "load_average_before": run.load,
        "rows": [_row(row) for row in run.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "title": row.title,
        "load_average_before": row.load,
        "figures": [_figure(figure) for figure in row.figures],
        "ratios": [found._asdict() for found in row.ratios],
        "facts": dict(row.facts),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    fields = ("rate", "p50", "p99", "longest", "done")
    return {
        "rival": figure.rival,
        "what": figure.what,
        "medians": {field: figure.median(field) for field in fields},
        "failed": figure.failed,
        "samples": [sample._asdict() for sample in figure.samples],
        "cpu_seconds": dict(figure.usage.cpu),
        "memory_bytes": dict(figure.usage.memory),
        "cores_of_other_programs": figure.usage.others,
    }


def write(run: Run, *files: Path) -> None:
    """Write a run into files, whose directories are made if they are missing."""
    text = json.dumps(document(run), indent=2, ensure_ascii=False) + "\n"
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
