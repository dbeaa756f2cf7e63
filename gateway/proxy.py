"""Requests passed on to an upstream, over connections that are kept.

Source for what is not passed on: RFC 9110, section 7.6.1 (hop-by-hop fields).
"""

import time
from collections.abc import Iterable
from urllib.parse import quote

import urllib3
from flask import Response, request
from prometheus_client import Histogram
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.util import SKIP_HEADER

from chassis import identity, metrics, trace
from chassis.errors import UnavailableError, UpstreamError, UpstreamTimeoutError
from chassis.kept_connections import Pool
from chassis.parsing import whole_body
from chassis.settings import Upstream
from gateway import auth

UPSTREAM = Histogram(
    "upstream_request_duration_seconds",
    "Time that an upstream took to answer, by upstream and outcome",
    ["upstream", "outcome"],
    buckets=metrics.SECONDS,
)
CONNECT_SECONDS, READ_SECONDS = 1.0, 10.0
CHUNK = 64 * 1024
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

    def __init__(self, upstream: Upstream, connections: int) -> None:
        """Prepare a pool of `connections`; none is made before it is needed."""
        self.name = upstream.name
        self._pool = Pool(
            upstream.host,
            upstream.port,
            maxsize=connections,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=False,
        )
        self._pool.ConnectionCls = _Connection

    def forward(self) -> Response:
        """Pass the current request on and return the upstream's exact answer.

        Raises:
            UnavailableError: the upstream can't be reached (503).
            UpstreamTimeoutError: it takes too long (504).
            UpstreamError: its answer is broken (502).
        """
        started = time.perf_counter()
        outcome = "error"
        try:
            response = self._answer()
            outcome = f"{response.status_code // 100}xx"
            return response
        finally:
            seconds = time.perf_counter() - started
            UPSTREAM.labels(self.name, outcome).observe(seconds)

    def _answer(self) -> Response:
        body = whole_body()
        try:
            return self._attempt(body)
        except ConnectionClosedError:
            if request.method not in ("GET", "HEAD"):
                raise
            return self._attempt(body)

    def _attempt(self, body: bytes) -> Response:
        try:
            deadline = time.monotonic() + READ_SECONDS
            return _response(self._send(body), deadline)
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise UnavailableError(f"{self.name} can't be reached.", cause=_cause(error)) from error
        except (ReadTimeoutError, TimeoutError) as error:
            raise UpstreamTimeoutError(f"{self.name} has not answered in time.") from error
        except (HTTPError, OSError, ValueError) as error:
            raise UpstreamError(f"{self.name} has not given a whole answer.") from error

    def _send(self, body: bytes) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.urlopen(
                request.method,
                _target(),
                body=body or None,
                headers=_request_headers(body),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except ProtocolError as error:
            if isinstance(error.args[-1], ConnectionError):
                detail = f"{self.name} closed the connection before it answered."
                raise ConnectionClosedError(detail) from error
            raise


class ConnectionClosedError(UpstreamError):
    """The connection, kept from an earlier request perhaps, was closed before any answer."""

    cause = "connection_closed"


def _cause(error: Exception) -> str:
    refused = isinstance(error.__cause__, ConnectionRefusedError)
    return "connection_refused" if refused else "unreachable"


class _Connection(HTTPConnection):
    """Sends the current request's target as it came; urllib3 would write its escapes anew."""

    def putrequest(self, method: str, url: str, *flags: bool, **named: bool) -> None:
        super().putrequest(method, _target(), *flags, **named)


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


def _response(upstream: urllib3.BaseHTTPResponse, deadline: float) -> Response:
    if not _says_its_length(upstream):
        upstream.close()
        raise ProtocolError("no way to see whether the answer is whole")
    data = _read(upstream, deadline)
    response = Response(data, upstream.status)
    response.automatically_set_content_length = False
    response.headers.clear()
    response.headers.extend(_passed_on(upstream.headers.items()))
    may_say = request.method != "HEAD" and upstream.status not in (204, 304)
    if may_say and "Content-Length" not in response.headers:
        response.headers["Content-Length"] = str(len(data))
    return response


def _limit(upstream: urllib3.BaseHTTPResponse, deadline: float) -> None:
    """Let the next read wait no longer than until `deadline`; TimeoutError if that has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection = upstream.connection
    if isinstance(connection, _Connection) and connection.sock is not None:
        connection.sock.settimeout(left)


def _says_its_length(upstream: urllib3.BaseHTTPResponse) -> bool:
    """Tell whether an end that comes too early would be noticed (RFC 9112, section 6.3)."""
    chunked = "chunked" in upstream.headers.get("Transfer-Encoding", "").lower()
    return chunked or upstream.length_remaining is not None


def _read(upstream: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """Read the body, all of it before `deadline`, and give the connection back."""
    chunks = []
    try:
        _limit(upstream, deadline)
        while chunk := upstream.read1(CHUNK, decode_content=False):
            chunks.append(chunk)
            _limit(upstream, deadline)
    except BaseException:
        upstream.close()
        raise
    upstream.release_conn()
    return b"".join(chunks)
