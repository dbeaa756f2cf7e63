"""Whether a process is ready, as its own `/ready` says."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from urllib3 import BaseHTTPResponse

from chassis.errors import InvalidError, MalformedJsonError
from chassis.schema.decoding import decode
from gateway.status.probe import AwayError, Peer

STATUSES = {200: "ready", 503: "unready"}


@dataclass(frozen=True)
class Health:
    """How a process is.

    Attributes:
        status: `ready`, `unready` or `down`.
        milliseconds: how long it took to answer; None if it is down.
        detail: why it is down.
        checks: what it can't work without, each with its status.
    """

    status: str
    milliseconds: float | None = None
    detail: str | None = None
    checks: Mapping[str, Any] = field(default_factory=dict)


def health(name: str, peer: Peer) -> Health:
    """Ask a process how it is."""
    began = time.perf_counter()
    try:
        answer = peer.get("/ready")
        checks = _checks(name, answer)
    except AwayError as error:
        return Health("down", detail=str(error))
    milliseconds = round((time.perf_counter() - began) * 1000, 2)
    return Health(STATUSES[answer.status], milliseconds=milliseconds, checks=checks)


def _checks(name: str, answer: BaseHTTPResponse) -> Mapping[str, Any]:
    """Read the checks.

    Raises:
        AwayError: this is not the process, or not its answer.
    """
    try:
        body = decode(answer.data)
    except (MalformedJsonError, InvalidError):
        body = None
    process = body.get("process") if isinstance(body, dict) else None
    if process != name:
        raise AwayError(f"at its port answers {process or 'something else'}")
    if answer.status not in STATUSES:
        raise AwayError(f"answered {answer.status}")
    checks = body.get("checks") or {}
    return {name: check for name, check in checks.items() if "status" in check}
