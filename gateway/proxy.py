"""Requests passed on to an upstream, over connections that are kept.

Source for what is not passed on: RFC 9110, section 7.6.1 (hop-by-hop fields).
"""

from collections.abc import Iterable
from urllib.parse import quote

import urllib3
from flask import Response, request
from urllib3.util import SKIP_HEADER

from chassis import identity, trace
from chassis.parsing import whole_body
from gateway import auth
from gateway.upstream import Answer, Call, UpstreamClient

VISIBLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
REPLACED = frozenset(
    (
        "host",
        "content-length",
        "expect",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-request-id",
        "traceparent",
        # who calls is the gateway's to say; a token is between the caller and it
        "authorization",
        "x-caller",
    )
)


class Proxy:
    """Passes requests on to one upstream."""

    def __init__(self, upstream: UpstreamClient) -> None:
        self._upstream = upstream

    def forward(self) -> Response:
        """Pass the current request on and return the upstream's exact answer.

        Raises:
            UnavailableError: the upstream can't be reached, or is not asked (503).
            UpstreamTimeoutError: it takes too long (504).
            UpstreamError: its answer is broken (502).
        """
        body = whole_body()
        call = Call(request.method, _target(), _request_headers(body), body)
        return passed_back(self._upstream.call(call))


def _target() -> str:
    path = quote(request.path, safe="/:@!$&'()*+,;=~-._")
    query = quote(request.query_string, safe=VISIBLE_ASCII)
    return f"{path}?{query}" if query else path


def _request_headers(body: bytes) -> urllib3.HTTPHeaderDict:
    headers = urllib3.HTTPHeaderDict(_passed_on(request.headers.items(), REPLACED))
    if request.host:
        headers["Host"] = headers["X-Forwarded-Host"] = request.host
    # gateway.clients has left there what can be believed
    way = request.headers.get("X-Forwarded-For")
    headers["X-Forwarded-For"] = way or request.remote_addr or "unknown"
    headers["X-Forwarded-Proto"] = request.scheme
    headers[identity.HEADER] = auth.caller()
    if body or "Content-Length" in request.headers:
        headers["Content-Length"] = str(len(body))
    for added in ("User-Agent", "Accept-Encoding"):
        if added not in headers:
            headers[added] = SKIP_HEADER  # or urllib3 would send its own
    current = trace.current()
    headers.update(current.headers if current else {})
    return headers


def _passed_on(
    headers: Iterable[tuple[str, str]], replaced: frozenset[str] = frozenset()
) -> list[tuple[str, str]]:
    """Leave out hop-by-hop fields, those that Connection names, and what is replaced."""
    pairs = list(headers)
    named = {
        name.strip().lower()
        for header, value in pairs
        if header.lower() == "connection"
        for name in value.split(",")
    }
    left_out = HOP_BY_HOP | replaced | named
    return [(name, value) for name, value in pairs if name.lower() not in left_out]


def passed_back(answer: Answer) -> Response:
    """Return an upstream's answer as that to the current request, unchanged."""
    response = Response(answer.data, answer.status)
    response.automatically_set_content_length = False
    response.headers.clear()
    response.headers.extend(_passed_on(answer.headers.items()))
    may_say = request.method != "HEAD" and answer.status not in (204, 304)
    if may_say and "Content-Length" not in response.headers:
        response.headers["Content-Length"] = str(len(answer.data))
    return response
