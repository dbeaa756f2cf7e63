"""Metrics in Prometheus' text format, added up over a server's worker processes."""

import os
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST

REQUESTS = Histogram(
    "http_request_duration_seconds",
    "Time to answer a request, by route, method and status",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
UPSTREAM = Histogram(
    "upstream_request_duration_seconds",
    "Time that an upstream took to answer, by upstream and outcome",
    ["upstream", "outcome"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PUBLISHED = Counter(
    "messages_published_total", "Messages handed to the broker, by outcome", ["outcome"]
)
CONSUMED = Counter(
    "messages_consumed_total", "Messages taken from a queue, by outcome", ["queue", "outcome"]
)
CONSUMED_BATCH = Histogram(
    "consumed_batch_size",
    "Messages handled in one transaction",
    ["queue"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
OUTBOX_BACKLOG = Gauge(
    "outbox_backlog", "Messages in the outbox that the broker has not confirmed yet"
)
OUTBOX_LAG = Gauge("outbox_lag_seconds", "Age of the oldest message that is not confirmed yet")
OUTBOX_RELAYED = Counter("outbox_relayed_total", "Messages that the relay has delivered")


def empty_directory(directory: Path) -> None:
    """Make `directory` the place where worker processes add up, without what earlier ones left.

    To be called before the workers start: prometheus_client looks for the variable when imported.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob("*.db"):
        left.unlink()
    os.environ[DIRECTORY_VARIABLE] = str(directory)


def render() -> bytes:
    """Return all metrics of this process, or of all workers of its server."""
    if DIRECTORY_VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)
