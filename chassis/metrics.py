"""Metrics in Prometheus' text format, added up over a server's worker processes."""

import os
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from chassis.metric_files import DIRECTORY_VARIABLE, process_of

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def empty_directory(directory: Path) -> None:
    """Empty `directory`, and make it the directory of the workers' metrics.

    Must be called before the workers start: prometheus_client reads the variable when imported.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob("*.db"):
        left.unlink()
    os.environ[DIRECTORY_VARIABLE] = str(directory)


def registry() -> CollectorRegistry:
    """Return all metrics of this process, or of all workers of its server."""
    if DIRECTORY_VARIABLE not in os.environ:
        return REGISTRY
    directory = Path(os.environ[DIRECTORY_VARIABLE])
    # it may have been removed; workers recreate their files (chassis.metric_files)
    directory.mkdir(parents=True, exist_ok=True)
    _forget_dead_workers(directory)
    added_up = CollectorRegistry()
    MultiProcessCollector(added_up)
    return added_up


def render() -> bytes:
    """Return all metrics as text."""
    return generate_latest(registry())


def _forget_dead_workers(directory: Path) -> None:
    """Remove the `live` gauges of dead processes."""
    for file in directory.glob("gauge_live*_*.db"):
        if not Path("/proc", str(process_of(file))).exists():
            file.unlink(missing_ok=True)
