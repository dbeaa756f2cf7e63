"""Classifies an answer: a promise, a proper refusal, or an improper answer."""

import json
from typing import Any

from tools.drills.workload.history import Request, Verdict

PROBLEM = "application/problem+json"
# too many requests, broken upstream, unavailable, too slow
REFUSALS = (429, 502, 503, 504)
CONFLICT = 409
IDS = {"bill": "id", "order": "id", "customer": "id", "event": "event_uid"}
Reading = tuple[Verdict, str | None, str]


def read(request: Request, status: int, media_type: str, data: bytes) -> Reading:
    """The verdict on an answer, the id of what it promises, and a detail to log."""
    body = _parsed(data)
    if status in (201, 202) and request.kind in IDS:
        found = body.get(IDS[request.kind])
        if found is None:
            return Verdict.IMPROPER, None, f"{status} without an id: {data[:200]!r}"
        return Verdict.ACCEPTED, str(found), str(body.get("stored_in", ""))
    if 200 <= status < 300:
        return Verdict.DONE, None, ""
    return _refusal(request, status, media_type, body), None, data[:300].decode(errors="replace")


def _refusal(request: Request, status: int, media_type: str, body: dict[str, Any]) -> Verdict:
    if not media_type.startswith(PROBLEM) or body.get("status") != status:
        return Verdict.IMPROPER
    if status in REFUSALS and body.get("cause"):
        return Verdict.REFUSED
    # a request with this key is still in flight
    if status == CONFLICT and request.key:
        return Verdict.REFUSED
    # the order was completed or cancelled meanwhile
    if status == CONFLICT and request.kind == "cancel":
        return Verdict.DONE
    return Verdict.IMPROPER


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
