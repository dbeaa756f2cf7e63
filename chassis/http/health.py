"""`/live`, `/ready` and `/metrics`, the same for every process."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from flask import Blueprint, Response, jsonify
from prometheus_client import Gauge

from chassis import metrics
from chassis.errors import first_line
from chassis.http import access_log

READY = Gauge(
    "process_ready",
    "Whether a dependency of a process is up (1) or not (0), by its name in /ready",
    ["check"],
    multiprocess_mode="mostrecent",
)
Result = dict[str, Any]


class Check(Protocol):
    """A dependency that a process can't work without."""

    name: str

    def check(self) -> None:
        """Raise what is wrong."""


def _everybody() -> bool:
    return True


def routes(process: str, ready: Sequence[Check]) -> tuple[Blueprint, ...]:
    """Return the public routes for monitoring a process.

    Args:
        process: its PM2 name.
        ready: what it can't work without; each call of `/ready` checks all of them.
    """
    return live_routes(process), ready_routes(process, ready), metrics_routes(ready)


def live_routes(process: str) -> Blueprint:
    """Return `/live`."""
    blueprint = _quiet("live")

    @blueprint.get("/live")
    def live() -> Response:
        return jsonify(status="live", process=process)

    return blueprint


def ready_routes(
    process: str, ready: Sequence[Check], detailed: Callable[[], bool] = _everybody
) -> Blueprint:
    """Return `/ready`, which shows the single checks if `detailed` allows that."""
    blueprint = _quiet("ready")

    @blueprint.get("/ready")
    def is_ready() -> tuple[Response, int]:
        found = report(ready)
        status = found["status"]
        checks = {"checks": found["checks"]} if detailed() else {}
        answer = jsonify(status=status, process=process, **checks)
        return answer, 200 if status == "ready" else 503

    return blueprint


def metrics_routes(ready: Sequence[Check]) -> Blueprint:
    """Return `/metrics`, which includes the checks: each call runs all of them."""
    blueprint = _quiet("metrics")

    @blueprint.get("/metrics")
    def metrics_text() -> Response:
        for name, found in report(ready)["checks"].items():
            READY.labels(name).set(found["status"] == "up")
        return Response(metrics.render(), content_type=metrics.CONTENT_TYPE)

    return blueprint


def _quiet(name: str) -> Blueprint:
    blueprint = Blueprint(name, __name__)
    blueprint.before_request(access_log.skip_request)
    return blueprint


def report(ready: Sequence[Check]) -> dict[str, Any]:
    """Run all checks; return the `status` (ready or unready) and the single `checks`."""
    checks = {check.name: run_check(check) for check in ready}
    return {"status": verdict(checks), "checks": checks}


def verdict(checks: Mapping[str, Result]) -> str:
    """Return `ready` if all checks are up, `unready` otherwise."""
    return "ready" if all(check["status"] == "up" for check in checks.values()) else "unready"


def run_check(check: Check) -> Result:
    """Run a check; return its `status`, its `milliseconds`, and a `detail` if it is down."""
    started = time.perf_counter()
    try:
        check.check()
    except Exception as error:
        found = {"status": "down", "detail": first_line(error)}
    else:
        found = {"status": "up"}
    return {**found, "milliseconds": round((time.perf_counter() - started) * 1000, 2)}
