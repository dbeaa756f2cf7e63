"""A whole run as one JSON document."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.bench.figures import Figure, Result


@dataclass(frozen=True)
class Run:
    """A run: its time, the machine, the load before, and the results."""

    time: str
    facts: Mapping[str, str]
    load: float
    results: Sequence[Result]


def document(run: Run) -> dict[str, Any]:
    """The content of the file: every sample, medians and ratios."""
    return {
        "time": run.time,
        "machine": dict(run.facts),
        "load_average_before": run.load,
        "rows": [_result(result) for result in run.results],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "name": result.name,
        "title": result.title,
        "load_average_before": result.load,
        "unit": result.unit,
        "cpu_ms_of_a_bare_request": result.bare,
        "figures": [_figure(figure) for figure in result.figures],
        "ratios": [found._asdict() for found in result.ratios],
        "plots": [plot._asdict() for plot in result.plots],
        "facts": dict(result.facts),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    fields = ("rate", "p50", "p99", "p999", "longest", "done")
    return {
        "rival": figure.candidate,
        "what": figure.what,
        "medians": {field: figure.median(field) for field in fields},
        "failed": figure.failed,
        "samples": [sample._asdict() for sample in figure.samples],
        "units": figure.units,
        "cpu_seconds": dict(figure.usage.cpu),
        "memory_bytes": dict(figure.usage.memory),
        "cores_of_other_programs": figure.usage.others,
    }


def write(run: Run, *files: Path) -> None:
    """Write a run to files; makes missing directories."""
    text = json.dumps(document(run), indent=2, ensure_ascii=False) + "\n"
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
