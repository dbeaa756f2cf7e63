"""The document that `GET /api/status` shows, built from a snapshot."""

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from chassis import VERSION
from gateway.status import broker_and_outboxes, cache, machines
from gateway.status.platform import Platform
from gateway.status.prober import Snapshot
from gateway.status.traffic import Rate

NAME = "crud-master"
Document = dict[str, Any]
_DETAILS = ("machines", "gateway", "rabbitmq", "cache", "queues", "outboxes", "orders", "bills")


def document(platform: Platform, snapshot: Snapshot) -> Document:
    """Build the document; what is unknown is None, and named in `unavailable`."""
    shown = {
        "machines": [machines.shown(machine, snapshot) for machine in platform.machines],
        "gateway": _gateway(snapshot),
        "rabbitmq": broker_and_outboxes.rabbitmq(platform, snapshot),
        "cache": cache.shown(platform, snapshot.cache),
        "queues": list(broker_and_outboxes.queues(platform, snapshot)),
        "outboxes": list(broker_and_outboxes.outboxes(platform, snapshot)),
        "orders": snapshot.orders.value,
        "bills": snapshot.bills.value,
    }
    unavailable = sorted(_unavailable(shown, platform))
    status = "degraded" if unavailable or not all(_are_up(shown)) else "up"
    about = {"name": NAME, "version": VERSION, "at": _now(), "platform": platform.kind}
    return {**about, "status": status, **shown, "unavailable": unavailable, "protected": []}


def outline(status: Document) -> Document:
    """Return the part of a document that everybody may see: whether all is up, without details."""
    hidden: Document = {name: [] if isinstance(status[name], list) else None for name in _DETAILS}
    return {**status, **hidden, "bills": None, "unavailable": [], "protected": sorted(_DETAILS)}


def _gateway(snapshot: Snapshot) -> Document:
    rate = snapshot.traffic.value or Rate(0.0, 0.0, 0.0, [])
    return dict(rate._asdict())


def _unavailable(shown: Document, platform: Platform) -> Iterator[str]:
    for name in ("orders", "bills"):
        if shown[name] is None:
            yield name
    for name in ("queues", "outboxes"):
        if any(None in _figures(part, platform).values() for part in shown[name]):
            yield name


def _figures(part: Document, platform: Platform) -> Document:
    """Return the figures that can be known; of a queue that others consume, only its length."""
    if part.get("name") in platform.others:
        return {"ready": part["ready"]}
    return {name: value for name, value in part.items() if name != "detail"}


def _are_up(shown: Document) -> Iterator[bool]:
    """Yield for each part whether it is up."""
    yield shown["rabbitmq"]["status"] == "up"
    yield shown["cache"] is None or shown["cache"]["status"] == "up"
    for machine in shown["machines"]:
        yield machine["database"] is None or machine["database"]["status"] == "up"
        for process in machine["processes"]:
            yield process["status"] == "ready"


def _now() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}"
