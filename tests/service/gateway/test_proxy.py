"""The gateway passes requests on to upstreams, good ones and bad ones."""

import gzip
import json
import re
import socket
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chassis.http import app as web
from chassis.http import upstream as upstreams
from chassis.http import upstream_address
from chassis.settings import Upstream
from gateway.proxy import Proxy
from gateway.routes import proxy_routes
from tests.support.raw_upstream import OK, Act, RawUpstream, answering, closing
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until

MOVIES = "/api/movies"
PATIENCE = 0.4  # seconds that a gateway waits for an answer that will not come


def client_of(port: int) -> FlaskClient:
    """A client of a gateway before an upstream at this port."""
    address = Upstream("inventory-api", "127.0.0.1", port)
    routes = [proxy_routes("movies", Proxy(upstreams.UpstreamClient(address)))]
    return web.create_app("gateway", ready=[], routes=routes).test_client(use_cookies=False)


@pytest.fixture
def gateway(upstream: RawUpstream) -> FlaskClient:
    """A client of a gateway."""
    return client_of(upstream.port)


@pytest.fixture
def impatient(gateway: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """The same, but it loses patience soon: for answers that do not come, or not to their end."""
    monkeypatch.setattr(upstreams, "READ_SECONDS", PATIENCE)
    return gateway


def wait_for_requests(upstream: RawUpstream, count: int) -> None:
    """Wait until it has read so many; whoever sent one may have given up before."""
    wait_until(lambda: len(upstream.requests) >= count, 20, f"{count} requests to be read")


def problem(response: TestResponse, status: int) -> dict[str, Any]:
    """The problem document that a request is answered with."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    document: dict[str, Any] = json.loads(response.data)
    assert "inventory-api" in document["detail"]
    return document


def test_the_answer_is_returned_as_it_came(gateway: FlaskClient, upstream: RawUpstream) -> None:
    upstream.acts = [
        answering(
            b"HTTP/1.1 418 I'm a teapot\r\nContent-Type: text/x-tea; charset=utf-8\r\n"
            b'Location: /api/movies/7\r\nLink: </api/movies?after=1>; rel="next"\r\n'
            b'X-Custom: one\r\nETag: "7"\r\nContent-Length: 5\r\n\r\n\x00\xfftea'
        )
    ]
    response = gateway.get(MOVIES)
    assert (response.status_code, response.data) == (418, b"\x00\xfftea")
    headers = dict(response.headers)
    for added in ("X-Request-ID", "X-Content-Type-Options", "Server"):
        del headers[added]
    assert headers == {
        "Content-Type": "text/x-tea; charset=utf-8",
        "Location": "/api/movies/7",
        "Link": '</api/movies?after=1>; rel="next"',
        "X-Custom": "one",
        "ETag": '"7"',
        "Content-Length": "5",
    }


@pytest.mark.parametrize("status", [200, 201, 202, 301, 400, 404, 405, 422, 429, 500, 502, 503])
def test_every_status_is_returned(gateway: FlaskClient, upstream: RawUpstream, status: int) -> None:
    upstream.acts = [
        answering(f"HTTP/1.1 {status} X\r\nLocation: /y\r\nContent-Length: 1\r\n\r\nx".encode())
    ]
    response = gateway.get(MOVIES)
    assert (response.status_code, response.data) == (status, b"x")
    assert response.headers["Location"] == "/y"
    assert len(upstream.requests) == 1


def test_hop_by_hop_headers_of_the_answer_are_left_out(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    upstream.acts = [
        answering(
            b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\n"
            b"Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nTrailer: X\r\n"
            b"Upgrade: h2c\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n"
        )
    ]
    own = {"X-Request-ID", "X-Content-Type-Options", "Server"}
    assert set(gateway.get(MOVIES).headers.keys()) == {"X-Kept", "Content-Length", *own}


def test_headers_that_come_twice_stay_two(gateway: FlaskClient, upstream: RawUpstream) -> None:
    upstream.acts = [
        answering(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
    ]
    assert gateway.get(MOVIES).headers.getlist("Set-Cookie") == ["a=1; Path=/", "b=2"]


def test_a_chunked_answer_is_returned_whole_with_its_length(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    upstream.acts = [
        answering(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"2;x=y\r\nde\r\n0\r\n\r\n",
        )
    ]
    response = gateway.get(MOVIES)
    assert response.data == b"abcde"
    assert response.headers["Content-Length"] == "5"
    assert "Transfer-Encoding" not in response.headers


def test_a_compressed_answer_stays_compressed(gateway: FlaskClient, upstream: RawUpstream) -> None:
    data = gzip.compress(b"[]")
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(data)}\r\n\r\n"
    upstream.acts = [answering(head.encode() + data)]
    response = gateway.get(MOVIES)
    assert (response.data, response.headers["Content-Encoding"]) == (data, "gzip")


def test_the_answer_to_head_has_the_length_of_the_answer_to_get(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    upstream.acts = [answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")]
    for _ in range(2):
        response = gateway.head(MOVIES)
        assert (response.data, response.headers["Content-Length"]) == (b"", "1234")
    assert upstream.connections == 1


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_that_has_no_body_gets_none(
    gateway: FlaskClient, upstream: RawUpstream, status: str
) -> None:
    upstream.acts = [answering(f'HTTP/1.1 {status}\r\nETag: "7"\r\n\r\n'.encode())]
    for _ in range(2):
        response = gateway.get(MOVIES)
        assert (response.status, response.data) == (status.upper(), b"")
        assert response.headers["ETag"] == '"7"'
        assert "Content-Length" not in response.headers
    assert upstream.connections == 1


def test_connections_are_kept_between_requests(gateway: FlaskClient, upstream: RawUpstream) -> None:
    for _ in range(5):
        assert gateway.get(MOVIES).status_code == 200
    assert upstream.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
@pytest.mark.parametrize(
    "path", [MOVIES, f"{MOVIES}/", f"{MOVIES}/1", f"{MOVIES}/1/", f"{MOVIES}/a/b"]
)
def test_every_method_and_path_below_is_forwarded_unchanged(
    gateway: FlaskClient, upstream: RawUpstream, method: str, path: str
) -> None:
    assert gateway.open(path, method=method).data == b"[]"
    assert upstream.head.startswith(f"{method} {path} HTTP/1.1\r\n".encode())


def test_paths_outside_the_prefix_are_not_forwarded(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    assert gateway.get("/api/moviesque").status_code == 404
    assert upstream.requests == []


def test_a_body_is_forwarded_byte_by_byte(gateway: FlaskClient, upstream: RawUpstream) -> None:
    body = bytes(range(256)) * 400
    gateway.post(MOVIES, data=body, content_type="application/json; charset=utf-8")
    assert upstream.body == body
    assert upstream.values("Content-Length") == [str(len(body))]
    assert upstream.values("Content-Type") == ["application/json; charset=utf-8"]


def test_a_body_over_one_mebibyte_is_not_forwarded(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    response = gateway.post(MOVIES, data=b"x" * (1024 * 1024 + 1), content_type="application/json")
    assert (response.status_code, response.content_type) == (413, "application/problem+json")
    assert upstream.requests == []


@pytest.mark.parametrize(
    "query",
    [
        "title=matrix&limit=5",
        "title=%C3%A9",
        "title=%c3%a9",
        "title=a+b%20c",
        "title=100%25_%5c%2F",
        "title=%zz%",
        "title=a|b",
        "a=1&a=2&&=&b",
        "?",
        "title=/../x",
    ],
)
def test_the_query_string_arrives_byte_by_byte(
    gateway: FlaskClient, upstream: RawUpstream, query: str
) -> None:
    gateway.get(MOVIES, query_string=query)
    assert upstream.target == f"{MOVIES}?{query}".encode()


def test_an_unencoded_query_means_the_same_upstream(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    query = "title=é".encode().decode("latin-1")
    gateway.get(MOVIES, environ_overrides={"QUERY_STRING": query})
    assert upstream.target in (f"{MOVIES}?title=é".encode(), f"{MOVIES}?title=%C3%A9".encode())


@pytest.mark.parametrize(
    "path", ["%C3%A9", "a%20b", "a%3Fb", "a%23b", "a%25b", "a%253Fb", "a%0Ab", "..."]
)
def test_an_encoded_path_arrives_encoded(
    gateway: FlaskClient, upstream: RawUpstream, path: str
) -> None:
    gateway.get(f"{MOVIES}/{path}")
    assert upstream.target == f"{MOVIES}/{path}".encode()


def test_dots_in_a_path_do_not_lead_elsewhere(gateway: FlaskClient, upstream: RawUpstream) -> None:
    gateway.get(f"{MOVIES}/1", environ_overrides={"PATH_INFO": f"{MOVIES}/../../metrics"})
    assert upstream.target == b"/api/movies/../../metrics"


def test_headers_of_the_request_are_forwarded(gateway: FlaskClient, upstream: RawUpstream) -> None:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "br",
        "User-Agent": "curl/8",
        "Cookie": "a=1; b=2",
        "Idempotency-Key": "key-1",
        "If-None-Match": '"7"',
        "tracestate": "vendor=1",
        "X-Latin": "\xe9",
    }
    gateway.get(MOVIES, headers=headers)
    assert {name: upstream.values(name) for name in headers} == {
        name: [value] for name, value in headers.items()
    }


def test_the_gateway_adds_no_headers_of_its_own_making(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    gateway.get(MOVIES, environ_overrides={"HTTP_USER_AGENT": ""})
    names = {line.split(b":")[0].decode().lower() for line in upstream.head.split(b"\r\n")[1:]}
    assert names - {"user-agent"} == {
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-request-id",
        "traceparent",
        "x-caller",
    }


def test_an_empty_content_type_is_none(gateway: FlaskClient, upstream: RawUpstream) -> None:
    gateway.get(MOVIES, environ_overrides={"CONTENT_TYPE": "", "HTTP_CONTENT_TYPE": "text/x"})
    assert upstream.values("Content-Type") == []


@pytest.mark.parametrize("name", ["X-Caller", "x-caller", "X_Caller"])
def test_only_the_gateway_names_the_caller(
    gateway: FlaskClient, upstream: RawUpstream, name: str
) -> None:
    gateway.get(MOVIES, headers=[(name, "admin"), (name, "root")])
    assert upstream.values("X-Caller") == ["anonymous"]
    assert b"admin" not in upstream.head and b"root" not in upstream.head


def test_credentials_end_at_the_gateway(gateway: FlaskClient, upstream: RawUpstream) -> None:
    gateway.get(MOVIES, headers={"Authorization": "Bearer abc", "Connection": "Authorization"})
    assert upstream.values("Authorization") == []
    assert b"abc" not in upstream.head


def test_hop_by_hop_headers_of_the_request_are_left_out(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    headers = {
        "Connection": "close, X-Secret",
        "X-Secret": "1",
        "Keep-Alive": "timeout=5",
        "Proxy-Authorization": "Basic abc",
        "Proxy-Connection": "keep-alive",
        "TE": "trailers",
        "Trailer": "X",
        "Upgrade": "websocket",
        "Expect": "100-continue",
    }
    gateway.get(MOVIES, headers=headers)
    assert {name: upstream.values(name) for name in headers} == {name: [] for name in headers}


def test_the_upstream_gets_the_callers_name(gateway: FlaskClient, upstream: RawUpstream) -> None:
    gateway.get(MOVIES, base_url="https://movies.example:8443")
    assert upstream.values("Host") == ["movies.example:8443"]
    assert upstream.values("X-Forwarded-Host") == ["movies.example:8443"]
    assert upstream.values("X-Forwarded-Proto") == ["https"]
    assert upstream.values("X-Forwarded-For") == ["127.0.0.1"]


def test_a_request_id_and_a_trace_are_forwarded_and_made_if_absent(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"X-Request-ID": "req-7", "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    assert gateway.get(MOVIES, headers=headers).headers["X-Request-ID"] == "req-7"
    assert upstream.values("X-Request-ID") == ["req-7"]
    [traceparent] = upstream.values("traceparent")
    assert re.fullmatch(f"00-{trace_id}-(?!00f067aa0ba902b7)[0-9a-f]{{16}}-01", traceparent)

    response = gateway.get(MOVIES)
    assert upstream.values("X-Request-ID") == [response.headers["X-Request-ID"]]
    assert trace_id not in upstream.values("traceparent")[0]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_refuses_is_a_503_to_be_tried_again(method: str) -> None:
    response = client_of(free_port()).open(MOVIES, method=method)
    assert problem(response, 503)["cause"] == "connection_refused"
    assert int(response.headers["Retry-After"]) >= 1


def test_an_upstream_that_cannot_be_reached_is_a_503_to_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream_address, "CONNECT_SECONDS", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        response = client_of(address[1]).get(MOVIES)
        for one in waiting:
            one.close()
    assert problem(response, 503)["cause"] == "unreachable"
    assert "Retry-After" in response.headers


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_never_answers_is_a_504(
    impatient: FlaskClient, upstream: RawUpstream, method: str
) -> None:
    upstream.acts = [lambda _connection: None]
    assert problem(impatient.open(MOVIES, method=method), 504)["cause"] == "timeout"
    wait_for_requests(upstream, 1)
    assert len(upstream.requests) == 1


def test_an_upstream_that_stops_amid_its_answer_is_a_504(
    impatient: FlaskClient, upstream: RawUpstream
) -> None:
    upstream.acts = [answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[")]
    problem(impatient.get(MOVIES), 504)
    wait_for_requests(upstream, 1)
    assert len(upstream.requests) == 1


def dripping(upstream: RawUpstream, start: bytes, drop: bytes) -> Act:
    """Send a start, and then a drop at a time without an end."""

    def act(connection: socket.socket) -> None:
        connection.sendall(start)
        while not upstream.stopped.wait(PATIENCE / 4):
            connection.sendall(drop)

    return act


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 O", b"K"),
    ],
    ids=["body", "chunks", "a header", "headers", "interim answers", "the status"],
)
def test_an_answer_that_drips_beyond_the_limit_is_a_504(
    impatient: FlaskClient, upstream: RawUpstream, start: bytes, drop: bytes
) -> None:
    upstream.acts = [dripping(upstream, start, drop)]
    problem(impatient.get(MOVIES), 504)


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
    ids=lambda answer: answer[:60].decode(),
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_broken_answer_is_a_502(
    gateway: FlaskClient, upstream: RawUpstream, method: str, answer: bytes
) -> None:
    upstream.acts = [answering(answer, close=True)]
    problem(gateway.open(MOVIES, method=method), 502)
    assert len(upstream.requests) == 1


def test_after_a_broken_answer_the_next_request_is_answered(
    gateway: FlaskClient, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[")
    upstream.acts = [answering(b"garbage\r\n\r\n"), slow, answering(OK)]
    assert gateway.get(MOVIES).status_code == 502
    with monkeypatch.context() as impatient:
        impatient.setattr(upstreams, "READ_SECONDS", PATIENCE)
        assert gateway.get(MOVIES).status_code == 504
    wait_for_requests(upstream, 2)
    assert gateway.get(MOVIES).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_is_tried_once_more_on_a_connection_that_was_closed(
    gateway: FlaskClient, upstream: RawUpstream, method: str
) -> None:
    upstream.acts = [closing, answering(OK)]
    assert gateway.open(MOVIES, method=method).status_code == 200
    assert len(upstream.requests) == 2


def test_reading_is_not_tried_a_third_time(gateway: FlaskClient, upstream: RawUpstream) -> None:
    upstream.acts = [closing]
    problem(gateway.get(MOVIES), 502)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_writing_is_never_tried_a_second_time(
    gateway: FlaskClient, upstream: RawUpstream, method: str
) -> None:
    upstream.acts = [closing, answering(OK)]
    problem(gateway.open(MOVIES, method=method, json={"title": "A"}), 502)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_closed_keepalive_connection_fails_no_request(
    gateway: FlaskClient, upstream: RawUpstream, method: str
) -> None:
    assert gateway.open(MOVIES, method=method).status_code == 200
    upstream.close_connections()
    wait_until(lambda: not _serving(upstream), 5, "the connection to be closed")
    assert gateway.open(MOVIES, method=method).status_code == 200
    assert (len(upstream.requests), upstream.connections) == (2, 2)


def _serving(upstream: RawUpstream) -> bool:
    return any(thread.is_alive() for thread in upstream._threads[1:])


def test_the_metrics_count_the_outcome_of_the_upstream(
    gateway: FlaskClient, upstream: RawUpstream
) -> None:
    name = 'upstream_request_duration_seconds_count{outcome="%s",upstream="inventory-api"}'
    upstream.acts = [answering(OK), answering(b"garbage\r\n\r\n", close=True)]
    for _ in range(2):
        gateway.get(MOVIES)
    text = gateway.get("/metrics").text
    assert name % "2xx" in text
    assert name % "broken_answer" in text
