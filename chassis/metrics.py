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

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def empty_directory(directory: Path) -> None:
    """Make `directory` the place where worker processes add up, without what earlier ones left.

    To be called before the workers start: prometheus_client looks for the variable when imported.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob("*.db"):
        left.unlink()
    os.environ[DIRECTORY_VARIABLE] = str(directory)


def registry() -> CollectorRegistry:
    """Return all metrics of this process, or of all workers of its server."""
    if DIRECTORY_VARIABLE not in os.environ:
        return REGISTRY
    _forget_dead_workers(Path(os.environ[DIRECTORY_VARIABLE]))
    added_up = CollectorRegistry()
    MultiProcessCollector(added_up)
    return added_up


def render() -> bytes:
    """Write all of them as text."""
    return generate_latest(registry())


def _forget_dead_workers(directory: Path) -> None:
    """Remove the gauges that only living processes have, of those that live no more."""
    for file in directory.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            file.unlink(missing_ok=True)
