"""Requests as no client library sends them: none means two things, none confuses a connection."""

import json
from collections.abc import Callable, Iterator

import pytest

from chassis.settings import DatabaseSettings
from tests.support.raw_upstream import RawUpstream
from tests.support.served import API_TOKEN, Reply, Served, gateway_variables, serving

LAST = b"GET /live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
BODY = b'{"title": "Tron", "description": "x"}'
MIB = 1024 * 1024
Gateway = tuple[Served, RawUpstream]


@pytest.fixture(scope="module")
def started(
    database_settings: Callable[[str], DatabaseSettings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway of one process before a server that notes each byte, for every service."""
    upstream = RawUpstream()
    ports = dict.fromkeys(("inventory", "billing", "customers", "orders"), upstream.port)
    variables = gateway_variables(database_settings("gateway"), **ports)
    variables |= {"GATEWAY_WORKERS": "1", "GATEWAY_THREADS": "4"}
    with serving("gateway", variables, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway, upstream
    upstream.close()


@pytest.fixture
def gateway(started: Gateway) -> Served:
    """The gateway."""
    return started[0]


@pytest.fixture
def upstream(started: Gateway) -> RawUpstream:
    """The upstream, which has heard nothing yet."""
    started[1].requests.clear()
    return started[1]


def get(target: bytes, *headers: bytes) -> bytes:
    """A GET of this target."""
    return b"\r\n".join((b"GET " + target + b" HTTP/1.1", b"Host: h", *headers, b"", b""))


def post(*headers: bytes, target: bytes = b"/api/movies", body: bytes = b"") -> bytes:
    """A POST with these headers and whatever follows them."""
    lines = (b"POST " + target + b" HTTP/1.1", b"Host: h", b"Content-Type: application/json")
    return b"\r\n".join((*lines, *headers, b"", b"")) + body


def chunked(body: bytes) -> bytes:
    """A body in one chunk."""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def problem(reply: Reply) -> dict[str, object]:
    """The first answer's problem document."""
    assert b"content-type: application/problem+json" in reply.head
    document = reply.data.partition(b"\r\n\r\n")[2].partition(b"HTTP/1.")[0]
    found: dict[str, object] = json.loads(document)
    return found


SIZE = b"%x" % len(BODY)
BROKEN_ENDS = {
    "no last chunk": (SIZE + b"\r\n" + BODY + b"\r\n", True),
    "zz for a size": (SIZE + b"\r\n" + BODY + b"\r\nzz\r\n", False),
    "a chunk without its end": (SIZE + b"\r\n" + BODY, True),
    "a last chunk without its end": (SIZE + b"\r\n" + BODY + b"\r\n0\r\n", True),
    "a negative size": (SIZE + b"\r\n" + BODY + b"\r\n-1\r\n", False),
}


@pytest.mark.parametrize("way", BROKEN_ENDS)
def test_complete_json_in_broken_chunks_is_accepted_unchanged_or_refused(
    gateway: Served, upstream: RawUpstream, way: str
) -> None:
    body, close = BROKEN_ENDS[way]
    request = post(b"Transfer-Encoding: chunked", b"Connection: close", body=body)
    statuses = gateway.exchange(request, end=close).statuses
    assert statuses in ([200], [400], [])
    assert bool(upstream.requests) is (statuses == [200])
    assert all(data.endswith(b"\r\n\r\n" + BODY) for data in upstream.requests)


@pytest.mark.parametrize("target", [b"/api/movies", b"/api/billing", b"/api/events/a/b/c"])
@pytest.mark.parametrize("way", ["no last chunk", "zz for a size", "within a chunk", "wrong size"])
def test_truncated_chunked_json_is_refused_wherever_it_is_cut(
    gateway: Served, upstream: RawUpstream, target: bytes, way: str
) -> None:
    for end in range(1, len(BODY), 5):
        part = BODY[:end]
        size = len(BODY) if way == "within a chunk" else end
        after = {"within a chunk": b"", "wrong size": BODY[end:] + b"\r\n0\r\n\r\n"}
        body = b"%x\r\n" % size + part + after.get(way, b"\r\n")
        body += b"zz\r\n" if way == "zz for a size" else b""
        headers = (b"Transfer-Encoding: chunked", b"Connection: close")
        request = post(*headers, target=target, body=body)
        reply = gateway.exchange(request, end=way != "zz for a size")
        assert reply.statuses == [400]
        assert "sent in chunks, which may be broken" in str(problem(reply)["detail"])
    assert upstream.requests == []


def test_a_key_that_came_with_a_truncated_body_can_be_used_again(gateway: Served) -> None:
    key = (b"Transfer-Encoding: chunked", b"Connection: close", b"Idempotency-Key: cut-1")
    target = b"/api/events/a/b/c"
    cut = post(*key, target=target, body=SIZE + b"\r\n" + BODY[:9])
    whole = post(*key, target=target, body=chunked(BODY))
    assert gateway.exchange(cut, end=True).statuses == [400]
    assert gateway.exchange(whole).statuses == [201]


def test_a_chunk_with_too_large_a_size_swallows_what_follows_and_is_not_json(
    gateway: Served, upstream: RawUpstream
) -> None:
    body = b"%x\r\n" % (len(BODY) + 7) + BODY + b"\r\n0\r\n\r\n"
    request = post(b"Transfer-Encoding: chunked", b"Connection: close", body=body)
    assert gateway.exchange(request, end=True).statuses == [400]
    assert upstream.requests == []


@pytest.mark.parametrize(
    "target",
    [
        b"/api/movies/../orders",
        b"/api/movies/%2e%2e/orders",
        b"/api/movies/%2E./orders",
        b"/api/movies/..%2forders",
        b"/api/./movies",
        b"/api/movies/..",
        b"/api/movies\\..\\orders",
        b"/api/movies/%5c..",
        b"/api/movies/.",
        b"/api/movies/.%5c1",
        b"/api/movies/%00",
        b"/api/movies/%ff",
        b"/api/movies/%c3%28",
    ],
)
def test_an_ambiguous_path_is_refused_and_reaches_no_service(
    gateway: Served, upstream: RawUpstream, target: bytes
) -> None:
    reply = gateway.exchange(get(target) + LAST)
    assert reply.statuses == [400, 200]
    assert problem(reply)["status"] == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("target", "passed_on"),
    [
        (b"/api/movies/%31", b"/api/movies/1"),
        (b"/api/movies%2F1", b"/api/movies/1"),
        (b"/api/movies/a%252fb", b"/api/movies/a%252fb"),
        (b"/api/movies/%252e%252e/orders", b"/api/movies/%252e%252e/orders"),
        (b"/api/movies/%2500", b"/api/movies/%2500"),
        (b"/api/movies/a\\b", b"/api/movies/a%5Cb"),
        (b"/api/movies/..a/b..", b"/api/movies/..a/b.."),
        (b"/api/movies/%c3%a9", b"/api/movies/%C3%A9"),
        (b"/api/movies/1#/../orders", b"/api/movies/1"),
        (b"/api/movies?x=%0d%0aX-Evil:%201", b"/api/movies?x=%0d%0aX-Evil:%201"),
        (b"/api/movies?x=/../%00", b"/api/movies?x=/../%00"),
        (b"http://evil.example/api/movies?x=1", b"/api/movies?x=1"),
    ],
)
def test_the_gateway_checks_the_path_that_the_service_gets(
    gateway: Served, upstream: RawUpstream, target: bytes, passed_on: bytes
) -> None:
    assert gateway.exchange(get(target) + LAST).statuses == [200, 200]
    assert [upstream.target] == [passed_on]
    assert upstream.values("X-Evil") == []
    assert upstream.values("Host") == ["h"]


def test_a_line_end_in_a_path_adds_no_header(gateway: Served, upstream: RawUpstream) -> None:
    reply = gateway.exchange(get(b"/api/movies/1%0d%0aX-Evil:%201") + LAST)
    assert reply.statuses == [200, 200]
    [request] = upstream.requests
    assert b" /api/movies/1%0D%0AX-Evil:%201 " in request


@pytest.mark.parametrize(
    "target",
    [
        b"/api/orders",
        b"/api/orders/1",
        b"/api%2Forders/1",
        b"/api/%6frders/1",
        b"/api/orders%2F1",
        b"http://evil.example/api/orders/1",
    ],
)
def test_no_way_of_writing_it_leads_around_the_token(
    gateway: Served, upstream: RawUpstream, target: bytes
) -> None:
    assert gateway.exchange(get(target) + LAST).statuses == [401, 200]
    assert upstream.requests == []


def test_an_asterisk_is_no_path_of_ours(gateway: Served, upstream: RawUpstream) -> None:
    assert gateway.exchange(get(b"*") + LAST).statuses == [400, 200]
    assert upstream.requests == []


@pytest.mark.parametrize(
    "request_line", [b"CONNECT evil.example:80 HTTP/1.1", b"PRI * HTTP/2.0", b"GET /api/movies"]
)
def test_requests_for_other_targets_are_refused(
    gateway: Served, upstream: RawUpstream, request_line: bytes
) -> None:
    reply = gateway.exchange(request_line + b"\r\nHost: h\r\n\r\n" + LAST)
    assert reply.closed and reply.statuses in ([], [400], [400, 200])
    assert upstream.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 37", b"Content-Length: 3"),
        (b"Content-Length: 37, 37",),
        (b"Content-Length: +37",),
        (b"Content-Length: -1",),
        (b"Content-Length: 0x25",),
        (b"Content-Length : 37",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        (b"Transfer-Encoding:\x0bchunked",),
        (b"Transfer-Encoding : chunked",),
        (b"X-Folded: a\r\n b", b"Content-Length: 37"),
        (b"X-Return: a\rContent-Length: 37",),
        (b"X-Nul: a\x00b", b"Content-Length: 37"),
    ],
)
def test_a_body_without_a_single_length_ends_the_connection_and_smuggles_nothing(
    gateway: Served, upstream: RawUpstream, headers: tuple[bytes, ...]
) -> None:
    reply = gateway.exchange(post(*headers, body=BODY + get(b"/api/movies/smuggled")) + LAST)
    assert reply.closed and reply.statuses == [400]
    assert upstream.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    ],
)
def test_with_chunks_and_a_length_the_chunks_count_and_the_connection_ends(
    gateway: Served, upstream: RawUpstream, headers: tuple[bytes, ...]
) -> None:
    smuggled = get(b"/api/movies/smuggled")
    reply = gateway.exchange(post(*headers, body=chunked(BODY) + smuggled) + LAST)
    assert reply.closed and reply.statuses == [200]
    assert len(upstream.requests) == 1
    assert upstream.body == BODY
    assert upstream.values("Content-Length") == [str(len(BODY))]
    assert upstream.values("Transfer-Encoding") == []


def test_a_coding_besides_chunked_is_refused(gateway: Served, upstream: RawUpstream) -> None:
    reply = gateway.exchange(post(b"Transfer-Encoding: gzip, chunked", body=chunked(BODY)) + LAST)
    assert reply.statuses[0] == 400
    assert "Transfer-Encoding" in str(problem(reply)["detail"])
    assert upstream.requests == []


def test_the_same_length_twice_is_one_length(gateway: Served, upstream: RawUpstream) -> None:
    length = b"Content-Length: %d" % len(BODY)
    assert gateway.exchange(post(length, length, body=BODY) + LAST).statuses == [200, 200]
    assert (len(upstream.requests), upstream.body) == (1, BODY)


def test_a_body_that_ends_before_its_length_is_not_forwarded(
    gateway: Served, upstream: RawUpstream
) -> None:
    reply = gateway.exchange(post(b"Content-Length: 99", body=BODY), end=True)
    assert reply.closed and reply.statuses in ([], [400])
    assert upstream.requests == []


@pytest.mark.parametrize(
    "body", [b"zz\r\nabc\r\n0\r\n\r\n", b"25\r\n" + BODY[:9], b"25;x=\ny\r\n" + BODY + b"\r\n"]
)
def test_invalid_chunks_end_the_connection(
    gateway: Served, upstream: RawUpstream, body: bytes
) -> None:
    smuggled = body + get(b"/api/movies/smuggled")
    reply = gateway.exchange(post(b"Transfer-Encoding: chunked", body=smuggled) + LAST, end=True)
    assert reply.closed and len(reply.statuses) <= 1
    assert all(request.startswith(b"POST /api/movies ") for request in upstream.requests)
    assert not any(BODY in request for request in upstream.requests)


def test_an_unread_body_is_not_read_as_a_request(gateway: Served, upstream: RawUpstream) -> None:
    hidden = get(b"/api/movies/smuggled")
    nowhere = post(b"Content-Length: %d" % len(hidden), target=b"/nowhere", body=hidden)
    reply = gateway.exchange(nowhere + LAST)
    assert reply.statuses in ([404], [404, 200])
    assert upstream.requests == []


def test_requests_in_a_row_are_answered_in_a_row(gateway: Served, upstream: RawUpstream) -> None:
    targets = [b"/api/movies/%d" % number for number in range(20)]
    reply = gateway.exchange(b"".join(map(get, targets)) + LAST)
    assert reply.statuses == [200] * 21
    assert [request.split(b" ")[1] for request in upstream.requests] == targets


@pytest.mark.parametrize(
    ("keep", "statuses"), [(b"", [200]), (b"Connection: keep-alive\r\n", [200, 200])]
)
def test_http_1_0_is_answered_without_a_host(
    gateway: Served, upstream: RawUpstream, keep: bytes, statuses: list[int]
) -> None:
    reply = gateway.exchange(b"GET /api/movies HTTP/1.0\r\n" + keep + b"\r\n" + LAST)
    assert reply.data.startswith(b"HTTP/1.0 200 ")
    # the second request is answered only on a connection that is kept
    assert (reply.statuses, reply.closed) == (statuses, True)
    assert upstream.values("X-Forwarded-Host") == []
    assert upstream.values("Host") != [""]


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        (b"Host:",),
        (b"Host: a", b"Host: b"),
        (b"Host: a/b",),
        (b"Host: a@b",),
        (b"Host: a b",),
        (b"Host: a:b",),
    ],
)
def test_there_must_be_one_host(
    gateway: Served, upstream: RawUpstream, hosts: tuple[bytes, ...]
) -> None:
    request = b"\r\n".join((b"GET /api/movies HTTP/1.1", *hosts, b"", b""))
    reply = gateway.exchange(request + LAST)
    assert reply.statuses == [400, 200]
    assert "Host" in str(problem(reply)["detail"])
    assert upstream.requests == []


@pytest.mark.parametrize(
    "path",
    [
        *(b"/api/movies", b"/api/products", b"/api/customers"),
        *(b"/api/orders", b"/api/billing", b"/api/billing/1"),
    ],
)
@pytest.mark.parametrize("way", ["length", "chunks", "announced"])
def test_a_body_over_one_mebibyte_is_refused_by_every_service(
    gateway: Served, upstream: RawUpstream, path: bytes, way: str
) -> None:
    assert too_long(gateway, path, way, MIB + 1).statuses == [413]
    assert upstream.requests == []


@pytest.mark.parametrize("way", ["length", "chunks", "announced"])
def test_an_event_over_a_quarter_of_that_is_refused(gateway: Served, way: str) -> None:
    assert too_long(gateway, b"/api/events/a/b/c", way, MIB // 4 + 1).statuses == [413]


def too_long(gateway: Served, path: bytes, way: str, size: int) -> Reply:
    """Send a body of this size, or say so and send nothing."""
    token, body = b"Authorization: Bearer " + API_TOKEN.encode(), b"[" * size
    if way == "chunks":
        request = post(token, b"Transfer-Encoding: chunked", target=path, body=chunked(body))
    else:
        sent = body if way == "length" else b""
        request = post(token, b"Content-Length: %d" % size, target=path, body=sent)
    return gateway.ask(request)


def test_the_longest_body_is_forwarded_whole(gateway: Served, upstream: RawUpstream) -> None:
    body = b"[" * MIB
    request = post(b"Content-Length: %d" % MIB, b"Connection: close", body=body)
    assert gateway.exchange(request).statuses == [200]
    assert upstream.body == body


def test_an_endless_target_or_header_is_refused(gateway: Served, upstream: RawUpstream) -> None:
    long = b"a" * (200 * 1024)
    many = [b"X-%d: a" % number for number in range(150)]
    assert gateway.exchange(get(b"/api/movies/" + long) + LAST).statuses in ([414], [431])
    assert gateway.exchange(get(b"/api/movies", b"X-Long: " + long) + LAST).statuses == [431]
    assert gateway.exchange(get(b"/api/movies", *many) + LAST).statuses == [431]
    assert upstream.requests == []


@pytest.mark.parametrize("value", [b"a b", b"a\xffb", b"a,b", b"a<b", b"a" * 129])
def test_a_request_id_that_could_break_a_line_is_replaced(
    gateway: Served, upstream: RawUpstream, value: bytes
) -> None:
    reply = gateway.exchange(get(b"/api/movies", b"X-Request-ID: " + value) + LAST)
    assert reply.statuses == [200, 200]
    assert value not in reply.head and value not in upstream.head


def test_no_answer_names_the_server_and_each_header_comes_once(
    gateway: Served, upstream: RawUpstream
) -> None:
    for target in (b"/api/movies", b"/live", b"/nowhere", b"/api/orders"):
        head = gateway.exchange(get(target, b"Connection: close")).head
        assert head.count(b"\r\nx-content-type-options: nosniff") == 1
        assert [line for line in head.split(b"\r\n") if line.startswith(b"server:")] == [
            b"server: crud-master"
        ]
        assert head.count(b"\r\ndate:") == 1 and b"granian" not in head
    refused = gateway.exchange(b"GET\r\n\r\n")
    assert refused.statuses == [400] and b"granian" not in refused.head


@pytest.mark.parametrize("method", [b"get", b"head", b"Post", b"options", b"foo"])
def test_a_method_in_small_letters_is_refused_with_an_answer(
    gateway: Served, upstream: RawUpstream, method: bytes
) -> None:
    reply = gateway.exchange(method + b" /api/movies HTTP/1.1\r\nHost: h\r\n\r\n" + LAST)
    assert reply.statuses == [400, 200]
    assert "capital letters" in str(problem(reply)["detail"])
    assert upstream.requests == []


@pytest.mark.parametrize(
    "target",
    [
        b"//api/movies",
        b"///api/movies",
        b"//live",
        b"//",
        b"http://h//api/movies",
        b"/%2Fapi/movies",
    ],
)
def test_a_path_begins_with_one_slash(
    gateway: Served, upstream: RawUpstream, target: bytes
) -> None:
    reply = gateway.exchange(get(target) + LAST)
    assert reply.statuses == [400, 200]
    assert "one slash" in str(problem(reply)["detail"])
    assert upstream.requests == []


@pytest.mark.parametrize("target", [b"/api//movies", b"/api/movies//", b"/api/movies/1//"])
def test_an_empty_segment_does_not_change_the_path(
    gateway: Served, upstream: RawUpstream, target: bytes
) -> None:
    reply = gateway.exchange(get(target) + LAST)
    passed_on = [request.split(b" ")[1] for request in upstream.requests]
    assert (reply.statuses, passed_on) in (([404, 200], []), ([200, 200], [target]))


@pytest.mark.parametrize(
    ("header", "values"),
    [
        (b"Authorization", (b"Bearer abc", b"Bearer def")),
        (b"Authorization", (b"Bearer abc", b"Bearer abc")),
        (b"Idempotency-Key", (b"a", b"b")),
        (b"Idempotency-Key", (b"a", b"a")),
    ],
)
def test_a_single_valued_header_is_refused_if_sent_twice(
    gateway: Served, upstream: RawUpstream, header: bytes, values: tuple[bytes, ...]
) -> None:
    lines = [header + b": " + value for value in values]
    reply = gateway.exchange(post(*lines, b"Content-Length: 37", body=BODY) + LAST)
    assert reply.statuses == [400, 200]
    assert str(problem(reply)["detail"]).startswith(header.decode())
    assert upstream.requests == []


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"identity, gzip", b"x"])
@pytest.mark.parametrize("target", [b"/api/movies", b"/api/billing", b"/api/events/a/b/c"])
def test_a_body_in_another_coding_than_identity_is_refused(
    gateway: Served, upstream: RawUpstream, target: bytes, coding: bytes
) -> None:
    headers = (b"Content-Encoding: " + coding, b"Content-Length: 37")
    reply = gateway.exchange(post(*headers, target=target, body=BODY) + LAST)
    assert reply.statuses == [415, 200]
    assert b"\r\naccept-encoding: identity" in reply.head
    assert "Content-Encoding" in str(problem(reply)["detail"])
    assert upstream.requests == []


def test_a_body_in_the_coding_identity_is_forwarded(gateway: Served, upstream: RawUpstream) -> None:
    headers = (b"Content-Encoding: Identity", b"Content-Length: 37")
    assert gateway.exchange(post(*headers, body=BODY) + LAST).statuses == [200, 200]
    assert upstream.body == BODY
