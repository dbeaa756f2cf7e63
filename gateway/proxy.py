"""Requests forwarded to an upstream over kept connections.

Own code: werkzeug's ProxyMiddleware is for development: it makes a connection for each request.
Source for the fields that are not forwarded: RFC 9110, section 7.6.1 (hop-by-hop fields).
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestHeaderFieldsTooLarge

from chassis import trace
from chassis.http import caller, context
from chassis.http.answer import Answer, Fields
from chassis.http.call import Call
from chassis.http.request import whole_body
from chassis.http.response import CheckedHeaders, CompleteResponse
from chassis.http.upstream import UpstreamClient
from gateway.auth import guard as auth

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

VISIBLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_PLAIN_PATH = re.compile(r"[/\w:@!$&'()*+,;=~.-]*", re.ASCII)
_PLAIN_QUERY = re.compile(rb"[!-~]*")
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
_LONGEST_NAME = 261
_NAME_TOO_LONG = "The name of a header has more than 256 characters."


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
        request, body = context.request(), whole_body()
        call = Call(request.method, _target(request), _request_headers(request.environ), body)
        return upstream_response(self._upstream.call(call))


def _target(request: Request) -> str:
    path, query = request.path, request.query_string
    # quoting is dear, and changes few
    if not _PLAIN_PATH.fullmatch(path):
        path = quote(path, safe="/:@!$&'()*+,;=~-._")
    if not query:
        return path
    plain = query.decode() if _PLAIN_QUERY.fullmatch(query) else quote(query, safe=VISIBLE_ASCII)
    return f"{path}?{plain}"


def _request_headers(environ: "WSGIEnvironment") -> dict[str, str]:
    headers = {
        name: value for key, value in environ.items() if (name := _forwarded_name(key)) is not None
    }
    if not headers.get("Content-Type", True):
        del headers["Content-Type"]  # empty or absent if the client sent none (PEP 3333)
    for named in environ.get("HTTP_CONNECTION", "").split(","):
        headers.pop(named.strip().title(), None)
    if host := environ.get("HTTP_HOST") or context.request().host:
        headers["Host"] = headers["X-Forwarded-Host"] = host
    # gateway.edge.forwarded has removed everything untrusted
    forwarded_for = environ.get("HTTP_X_FORWARDED_FOR") or environ.get("REMOTE_ADDR")
    headers["X-Forwarded-For"] = forwarded_for or "unknown"
    headers["X-Forwarded-Proto"] = environ["wsgi.url_scheme"]
    headers[caller.HEADER] = auth.caller()
    current = trace.current()
    headers.update(current.headers if current else {})
    return headers


@lru_cache(1024)
def _forwarded_name(key: str) -> str | None:
    """Return the field that a key of the environment stands for; None if it is not forwarded.

    Source: PEP 3333, "environ Variables".

    Raises:
        RequestHeaderFieldsTooLarge: the name is so long that it is not to be remembered.
    """
    if len(key) > _LONGEST_NAME:
        raise RequestHeaderFieldsTooLarge(_NAME_TOO_LONG)
    if key == "CONTENT_TYPE":
        return "Content-Type"
    is_field = key.startswith("HTTP_") and key != "HTTP_CONTENT_TYPE"
    name = key.removeprefix("HTTP_").replace("_", "-").title()
    return name if is_field and name.lower() not in NOT_ASKED else None


def _answered_fields(fields: Fields) -> list[tuple[str, str]]:
    """Return the fields to forward: neither those of one hop, nor those that Connection names."""
    given = fields.items()
    kept = [field for field in given if field[0].lower() not in HOP_BY_HOP]
    named = fields.get("Connection") if len(kept) < len(given) else None
    if named is None:
        return kept
    also = {name.strip().lower() for name in named.split(",")}
    return [field for field in kept if field[0].lower() not in also]


class UpstreamResponse(CompleteResponse):
    """An upstream's answer, to which Flask adds nothing."""

    default_mimetype = None
    automatically_set_content_length = False

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """Return the headers; an answer with status 200 has its length, and stays as it is."""
        return self.headers if self.status_code == 200 else super().get_wsgi_headers(environ)


def upstream_response(answer: Answer) -> Response:
    """Return an upstream's answer as the response to the current request, unchanged."""
    fields = CheckedHeaders(_answered_fields(answer.headers))
    response = UpstreamResponse(answer.data, answer.status, fields)
    may_have_length = context.request().method != "HEAD" and answer.status not in (204, 304)
    if may_have_length and "Content-Length" not in response.headers:
        response.headers["Content-Length"] = str(len(answer.data))
    return response
