"""Requests and answers as a cache sees them.

Source: RFC 9110 (fields, conditions), RFC 9111 (Cache-Control, Age), RFC 9211 (Cache-Status), RFC
9213 (CDN-Cache-Control).
"""

import re

from flask import Response

from chassis.http import context
from chassis.http.response import CheckedHeaders
from chassis.http.unread_bodies import has_body
from chassis.preconditions import MalformedTagsError, read_tags
from gateway.cache.entries import Entry, Fields
from gateway.proxy import UpstreamResponse

NAME = "crud-master"
LIFETIME = "CDN-Cache-Control"
"""Says for how long the gateway may keep an answer. Clients and their caches do not get it."""
_STATUS = "Cache-Status"
LARGEST_BODY = 256 * 1024  # bytes
# fields of one exchange rather than of the answer
_NOT_KEPT = frozenset(
    ("content-length", "date", "server", "x-request-id", "traceparent", LIFETIME.lower())
)
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


def is_plain() -> bool:
    """Return whether the current request has neither a body nor a condition that a cache leaves."""
    environ = context.request().environ
    return not has_body(environ) and "HTTP_IF_MATCH" not in environ


def request_key() -> bytes:
    """Return what tells the current request from others with the same versions."""
    request = context.request()
    accept = request.environ.get("HTTP_ACCEPT", "")
    return b"%b?%b\0%b" % (request.path.encode(), request.query_string, accept.encode())


def is_accepted(age: int) -> bool:
    """Return whether the client takes an answer that is `age` seconds old."""
    environ = context.request().environ
    field = environ.get("HTTP_CACHE_CONTROL")
    if field is None:
        return "no-cache" not in environ.get("HTTP_PRAGMA", "").lower()
    if "no-cache" in field.lower() or "no-store" in field.lower():
        return False
    limit = _MAX_AGE.search(field)
    return limit is None or age < int(limit[1])


def lifetime(response: Response) -> int:
    """Return for how many seconds the answer to this request may be kept; 0 for not at all."""
    request = context.request()
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
    condition = context.request().environ.get("HTTP_IF_NONE_MATCH")
    try:
        is_known = condition is not None and read_tags(condition).match_weakly(_tag(entry))
    except MalformedTagsError:
        return None
    own = [("Age", str(entry.age)), (_STATUS, f"{NAME}; {status}")]
    if is_known:
        fields = [field for field in entry.fields if field[0].lower() != "content-type"]
        return UpstreamResponse(b"", 304, CheckedHeaders([*fields, *own]))
    length = ("Content-Length", str(len(entry.body)))
    return UpstreamResponse(entry.body, 200, CheckedHeaders([*entry.fields, length, *own]))


def marked(response: Response, status: str) -> Response:
    """Add Cache-Status to an answer."""
    response.headers[_STATUS] = f"{NAME}; {status}"
    return response


def _tag(entry: Entry) -> str:
    return (entry.field("etag") or "").strip('"')
