"""Requests forwarded to an upstream over kept connections.

Own code: werkzeug's ProxyMiddleware is for development: it makes a connection for each request.
Source for the fields that are not forwarded: RFC 9110, section 7.6.1 (hop-by-hop fields).
"""

from urllib.parse import quote

from flask import Response, request
from urllib3 import HTTPHeaderDict
from urllib3.util import SKIP_HEADER
from werkzeug.datastructures import Headers

from chassis import trace
from chassis.http import caller
from chassis.http.request import whole_body
from chassis.http.upstream import Answer, Call, UpstreamClient
from gateway.auth import guard as auth

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
        # the gateway alone names the caller; tokens are not forwarded
        "authorization",
        "x-caller",
    )
)
NOT_ASKED = HOP_BY_HOP | REPLACED


class Proxy:
    """Forwards requests to one upstream."""

    def __init__(self, upstream: UpstreamClient) -> None:
        self._upstream = upstream

    def forward(self) -> Response:
        """Forward the current request and return the upstream's answer unchanged.

        Raises:
            UnavailableError: the upstream can't be reached, or is not called (503).
            UpstreamTimeoutError: it takes too long (504).
            UpstreamError: its answer is broken (502).
        """
        body = whole_body()
        call = Call(request.method, _target(), _request_headers(body), body)
        return upstream_response(self._upstream.call(call))


def _target() -> str:
    path = quote(request.path, safe="/:@!$&'()*+,;=~-._")
    query = quote(request.query_string, safe=VISIBLE_ASCII)
    return f"{path}?{query}" if query else path


def _request_headers(body: bytes) -> dict[str, str]:
    headers = dict(_forwarded_fields(request.headers, NOT_ASKED))
    if request.host:
        headers["Host"] = headers["X-Forwarded-Host"] = request.host
    # gateway.edge.forwarded has removed everything untrusted
    forwarded_for = request.headers.get("X-Forwarded-For")
    headers["X-Forwarded-For"] = forwarded_for or request.remote_addr or "unknown"
    headers["X-Forwarded-Proto"] = request.scheme
    headers[caller.HEADER] = auth.caller()
    if body or "Content-Length" in request.headers:
        headers["Content-Length"] = str(len(body))
    for added in ("User-Agent", "Accept-Encoding"):
        if added not in headers:
            headers[added] = SKIP_HEADER  # or urllib3 would send its own
    current = trace.current()
    headers.update(current.headers if current else {})
    return headers


def _forwarded_fields(
    headers: Headers | HTTPHeaderDict, left_out: frozenset[str]
) -> list[tuple[str, str]]:
    """Return the fields to forward: neither those left out, nor those that Connection names."""
    named = headers.get("Connection")
    if named is not None:
        left_out |= {name.strip().lower() for name in named.split(",")}
    return [(name, value) for name, value in headers.items() if name.lower() not in left_out]


class UpstreamResponse(Response):
    """An upstream's answer, to which Flask adds nothing."""

    default_mimetype = None
    automatically_set_content_length = False


def upstream_response(answer: Answer) -> Response:
    """Return an upstream's answer as the response to the current request, unchanged."""
    response = UpstreamResponse(
        answer.data, answer.status, _forwarded_fields(answer.headers, HOP_BY_HOP)
    )
    may_have_length = request.method != "HEAD" and answer.status not in (204, 304)
    if may_have_length and "Content-Length" not in response.headers:
        response.headers["Content-Length"] = str(len(answer.data))
    return response
