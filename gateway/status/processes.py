"""The health of a process, by its own `/ready`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chassis.errors import InvalidError, MalformedJsonError
from chassis.http.answer import Answer
from chassis.schema.decoding import decode
from gateway.status.probe import Probe, ProbeError

STATUSES = {200: "ready", 503: "unready"}


@dataclass(frozen=True)
class Health:
    """The health of a process.

    Attributes:
        status: `ready`, `unready` or `down`.
        milliseconds: how long it took to answer; None if it is down.
        detail: why it is down.
        checks: the status of each part that it needs.
    """

    status: str
    milliseconds: float | None = None
    detail: str | None = None
    checks: Mapping[str, Any] = field(default_factory=dict)


def health(name: str, probe: Probe) -> Health:
    """Ask a process for its health."""
    began = time.perf_counter()
    try:
        answer = probe.get("/ready")
        checks = _checks(name, answer)
    except ProbeError as error:
        return Health("down", detail=str(error))
    milliseconds = round((time.perf_counter() - began) * 1000, 2)
    return Health(STATUSES[answer.status], milliseconds=milliseconds, checks=checks)


def _checks(name: str, answer: Answer) -> Mapping[str, Any]:
    """Read the checks.

    Raises:
        ProbeError: another process answers, or not as `/ready` does.
    """
    try:
        body = decode(answer.data)
    except (MalformedJsonError, InvalidError):
        body = None
    process = body.get("process") if isinstance(body, dict) else None
    if process != name:
        raise ProbeError(f"{process or 'something else'} answers at its port")
    if answer.status not in STATUSES:
        raise ProbeError(f"answered {answer.status}")
    checks = body.get("checks") or {}
    return {name: check for name, check in checks.items() if "status" in check}
