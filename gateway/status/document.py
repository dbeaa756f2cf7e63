"""What `GET /api/status` shows, made of a survey."""

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from chassis import VERSION
from gateway.status import machines, messages
from gateway.status.platform import Platform
from gateway.status.snapshot import Survey
from gateway.status.traffic import Rate

NAME = "crud-master"
Document = dict[str, Any]
_DETAILS = ("machines", "gateway", "rabbitmq", "queues", "outboxes", "orders", "bills")


def document(platform: Platform, survey: Survey) -> Document:
    """Write down what was found; what is not known is None, and named in `unavailable`."""
    shown = {
        "machines": [machines.shown(machine, survey) for machine in platform.machines],
        "gateway": _gateway(survey),
        "rabbitmq": messages.rabbitmq(platform, survey),
        "queues": list(messages.queues(platform, survey)),
        "outboxes": list(messages.outboxes(platform, survey)),
        "orders": survey.orders.value,
        "bills": survey.bills.value,
    }
    unavailable = sorted(_unavailable(shown, platform))
    status = "degraded" if unavailable or not all(_wells(shown)) else "up"
    about = {"name": NAME, "version": VERSION, "at": _now(), "platform": platform.kind}
    return {**about, "status": status, **shown, "unavailable": unavailable, "protected": []}


def outline(status: Document) -> Document:
    """Return what everybody may see of a document: whether all is up, and none of the details."""
    hidden: Document = {name: [] if isinstance(status[name], list) else None for name in _DETAILS}
    return {**status, **hidden, "bills": None, "unavailable": [], "protected": sorted(_DETAILS)}


def _gateway(survey: Survey) -> Document:
    rate = survey.traffic.value or Rate(0.0, 0.0, 0.0, [])
    return dict(rate._asdict())


def _unavailable(shown: Document, platform: Platform) -> Iterator[str]:
    for name in ("orders", "bills"):
        if shown[name] is None:
            yield name
    for name in ("queues", "outboxes"):
        if any(None in _figures(part, platform).values() for part in shown[name]):
            yield name


def _figures(part: Document, platform: Platform) -> Document:
    """What we can know of a queue or an outbox; of a queue that others consume, its length."""
    if part.get("name") in platform.others:
        return {"ready": part["ready"]}
    return {name: value for name, value in part.items() if name != "detail"}


def _wells(shown: Document) -> Iterator[bool]:
    yield shown["rabbitmq"]["status"] == "up"
    for machine in shown["machines"]:
        yield machine["database"] is None or machine["database"]["status"] == "up"
        for process in machine["processes"]:
            yield process["status"] == "ready"


def _now() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}"
