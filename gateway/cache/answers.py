"""Requests and answers as a cache sees them.

Source: RFC 9110 (fields, conditions), RFC 9111 (Cache-Control, Age), RFC 9211 (Cache-Status), RFC
9213 (CDN-Cache-Control).
"""

import re

from flask import Response, request

from chassis.preconditions import IF_MATCH, IF_NONE_MATCH, MalformedTagsError, read_tags
from gateway.cache.entries import Entry, Fields
from gateway.proxy import UpstreamResponse

NAME = "crud-master"
LIFETIME = "CDN-Cache-Control"
"""Says for how long the gateway may keep an answer. Clients and their caches do not get it."""
LARGEST_BODY = 256 * 1024  # bytes
# fields of one exchange rather than of the answer
_NOT_KEPT = frozenset(
    ("content-length", "date", "server", "x-request-id", "traceparent", LIFETIME.lower())
)
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


def is_plain() -> bool:
    """Return whether the current request has neither a body nor a condition that a cache leaves."""
    headers = request.headers
    has_body = request.content_length or "Transfer-Encoding" in headers
    return not has_body and IF_MATCH not in headers


def request_key() -> bytes:
    """Return what tells the current request from others with the same versions."""
    accept = request.headers.get("Accept", "")
    return request.path.encode() + b"?" + request.query_string + b"\0" + accept.encode()


def is_accepted(age: int) -> bool:
    """Return whether the client takes an answer that is `age` seconds old."""
    field = request.headers.get("Cache-Control")
    if field is None:
        return "no-cache" not in request.headers.get("Pragma", "").lower()
    if "no-cache" in field.lower() or "no-store" in field.lower():
        return False
    limit = _MAX_AGE.search(field)
    return limit is None or age < int(limit[1])


def lifetime(response: Response) -> int:
    """Return for how many seconds the answer to this request may be kept; 0 for not at all."""
    if request.method != "GET" or response.status_code != 200:
        return 0
    headers = response.headers
    if "Vary" in headers or "Set-Cookie" in headers:
        return 0
    if "no-store" in request.headers.get("Cache-Control", "").lower():
        return 0
    match = _MAX_AGE.search(headers.get(LIFETIME, ""))
    if match is None or len(response.get_data()) > LARGEST_BODY:
        return 0
    return int(match[1])


def kept_fields(response: Response) -> Fields:
    """Return the header fields to store."""
    return [(name, value) for name, value in response.headers if name.lower() not in _NOT_KEPT]


def shown(entry: Entry, status: str) -> Response | None:
    """Answer the current request with a stored answer, or with 304 if the client has it.

    None for a malformed If-None-Match, which the upstream refuses.
    """
    condition = request.headers.get(IF_NONE_MATCH)
    try:
        is_known = condition is not None and read_tags(condition).match_weakly(_tag(entry))
    except MalformedTagsError:
        return None
    if is_known:
        fields = [field for field in entry.fields if field[0].lower() != "content-type"]
        response = UpstreamResponse(b"", 304, fields)
    else:
        response = UpstreamResponse(entry.body, 200, entry.fields)
        response.headers["Content-Length"] = str(len(entry.body))
    response.headers["Age"] = str(entry.age)
    return marked(response, status)


def marked(response: Response, status: str) -> Response:
    """Add Cache-Status to an answer."""
    response.headers["Cache-Status"] = f"{NAME}; {status}"
    return response


def _tag(entry: Entry) -> str:
    return (entry.field("etag") or "").strip('"')
