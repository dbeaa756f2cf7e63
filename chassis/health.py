"""`/live`, `/ready` and `/metrics`, the same on every process."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from flask import Blueprint, Response, jsonify

from chassis import metrics, quiet
from chassis.errors import first_line

Result = dict[str, Any]


class Check(Protocol):
    """What a process can't work without."""

    name: str

    def check(self) -> None:
        """Raise what is wrong."""


def routes(process: str, ready: Sequence[Check]) -> Blueprint:
    """Return the routes by which a process is watched.

    Args:
        process: its PM2 name.
        ready: what it can't work without; each is tried at each call of `/ready`.
    """
    blueprint = Blueprint("health", __name__)
    blueprint.before_request(quiet.this_request)

    @blueprint.get("/live")
    def live() -> Response:
        return jsonify(status="live", process=process)

    @blueprint.get("/ready")
    def is_ready() -> tuple[Response, int]:
        found = report(ready)
        answer = jsonify(status=found["status"], process=process, checks=found["checks"])
        return answer, 200 if found["status"] == "ready" else 503

    @blueprint.get("/metrics")
    def metrics_text() -> Response:
        return Response(metrics.render(), content_type=metrics.CONTENT_TYPE)

    return blueprint


def report(ready: Sequence[Check]) -> dict[str, Any]:
    """Try all of `ready`; return the `status` (ready or unready), and each of the `checks`."""
    checks = {check.name: tried(check) for check in ready}
    return {"status": verdict(checks), "checks": checks}


def verdict(checks: Mapping[str, Result]) -> str:
    """Return `ready` if all is up, `unready` otherwise."""
    return "ready" if all(check["status"] == "up" for check in checks.values()) else "unready"


def tried(check: Check) -> Result:
    """Try something; return its `status`, how many `milliseconds` it took, and what is wrong."""
    started = time.perf_counter()
    try:
        check.check()
    except Exception as error:
        found = {"status": "down", "detail": first_line(error)}
    else:
        found = {"status": "up"}
    return {**found, "milliseconds": round((time.perf_counter() - started) * 1000, 2)}
