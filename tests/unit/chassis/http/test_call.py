"""A request is written in one piece, and nothing in it can end it early or begin another one."""

import pytest

from chassis.http.call import Call

HOST = "inventory-api:8080"


def test_a_request_has_a_host_and_the_length_of_its_body() -> None:
    call = Call("POST", "/api/movies?a=%20", {"Accept": "*/*", "X-Latin": "\xe9"}, b"{}")
    assert call.encoded(HOST) == (
        b"POST /api/movies?a=%20 HTTP/1.1\r\nAccept: */*\r\nX-Latin: \xe9\r\n"
        b"Host: inventory-api:8080\r\nContent-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize("name", ["Host", "host", "HOST"])
def test_a_given_host_stays_the_only_one(name: str) -> None:
    assert Call("GET", "/", {name: "a.example"}).encoded(HOST) == (
        b"GET / HTTP/1.1\r\n" + name.encode() + b": a.example\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "has_length"),
    [
        *(("GET", False), ("HEAD", False), ("DELETE", False), ("OPTIONS", False)),
        *(("POST", True), ("PUT", True), ("PATCH", True), ("BREW", True)),
    ],
)
def test_methods_that_expect_a_body_say_that_there_is_none(method: str, has_length: bool) -> None:
    written = Call(method, "/", {}).encoded(HOST)
    assert (b"\r\nContent-Length: 0\r\n" in written) == has_length


def test_a_body_has_a_length_whatever_the_method() -> None:
    assert b"\r\nContent-Length: 2\r\n\r\n{}" in Call("GET", "/", {}, b"{}").encoded(HOST)


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\n", "G\0", "GÉT", "GET:"])
def test_a_method_is_a_token(method: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Call(method, "/", {}).encoded(HOST)


@pytest.mark.parametrize("target", ["", "/a b", "/a\r\nX: y", "/a\n", "/a\0", "/é", "/\x7f", "/\t"])
def test_a_target_has_visible_ascii_characters_only(target: str) -> None:
    with pytest.raises(ValueError, match="target"):
        Call("GET", target, {}).encoded(HOST)


@pytest.mark.parametrize("name", ["", "A B", "A:", "A\r\nB", "A\n", "A\0", "Ä", "A\t"])
def test_a_name_is_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Call("GET", "/", {name: "x"}).encoded(HOST)


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "a\rb", "a\0b", "\n", "a\r\n b"])
def test_a_value_is_one_line(value: str) -> None:
    with pytest.raises(ValueError, match="value"):
        Call("GET", "/", {"A": value}).encoded(HOST)


def test_a_value_is_latin_1() -> None:
    with pytest.raises(ValueError, match="latin-1"):
        Call("GET", "/", {"A": "€"}).encoded(HOST)


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "Transfer-Encoding"])
def test_the_length_is_counted_not_given(name: str) -> None:
    with pytest.raises(ValueError, match="length"):
        Call("POST", "/", {name: "2"}, b"{}").encoded(HOST)


@pytest.mark.parametrize(
    ("method", "headers", "may"),
    [
        *((method, {}, method in ("GET", "HEAD")) for method in ("GET", "HEAD", "POST", "DELETE")),
        ("POST", {"idempotency-KEY": "k"}, True),
        *((method, {"Idempotency-Key": "k"}, False) for method in ("PUT", "PATCH", "DELETE")),
    ],
)
def test_a_key_lets_a_post_alone_be_repeated(
    method: str, headers: dict[str, str], may: bool
) -> None:
    assert Call(method, "/", headers).may_be_repeated == may
