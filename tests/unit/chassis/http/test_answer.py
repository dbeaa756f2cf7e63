"""Answers are read as they are meant, in whatever segments they come; all others are broken."""

from collections.abc import Collection, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.http.answer import (
    MAX_FIELDS,
    MAX_HEAD,
    Answer,
    AnswerReader,
    BrokenAnswerError,
    Fields,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
TWO = OK + b"Content-Length: 2\r\n"
PLAIN = TWO + b"\r\nhi"
VISIBLE = [chr(code) for code in (*range(0x21, 0x7F), *range(0x80, 0x100))]
NAMES = st.text("abcXYZ019-_.~!#$%&'*+^`|", min_size=1, max_size=12)
VALUES = st.text(["\t", " ", *VISIBLE], max_size=30).map(lambda text: text.strip(" \t"))
NOT_RANDOM = ("content-length", "transfer-encoding", "connection")
Given = tuple[int, list[tuple[str, str]], bytes]


def read(segments: Iterable[bytes], method: str = "GET") -> tuple[Answer, bool]:
    """Read a whole answer; returns it, and whether the connection may be used again."""
    reader = AnswerReader(method)
    for segment in segments:
        reader.feed(segment)
    assert reader.is_complete
    reader.close()
    return reader.answer(), reader.leaves_usable


def is_kept(answer: bytes, method: str = "GET") -> bool:
    """Whether the connection may be used again after an answer."""
    return read([answer], method)[1]


def cut(data: bytes, places: Collection[int]) -> list[bytes]:
    """Cut bytes at these places."""
    ends = sorted({place % len(data) for place in places} - {0})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, Given]:
    """A valid answer to GET, and what it means."""
    status = draw(st.sampled_from([200, 201, 204, 304, 404, 503]))
    names = NAMES.filter(lambda name: name.lower() not in NOT_RANDOM)
    fields = draw(st.lists(st.tuples(names, VALUES), max_size=8))
    pieces = [] if status in (204, 304) else draw(st.lists(st.binary(min_size=1, max_size=99)))
    body = framed = b"".join(pieces)
    if draw(st.booleans()):
        fields.append(("Transfer-Encoding", "chunked"))
        chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        framed = chunks + b"0\r\nX-Trailer: 1\r\n\r\n"
    else:
        fields.append(("Content-Length", str(len(body))))
    if status in (204, 304):
        framed = b""
    fields = draw(st.permutations(fields))
    before, behind = st.sampled_from(["", " ", " \t "]), st.sampled_from(["", " ", "  "])
    head = "".join(f"{name}:{draw(before)}{value}{draw(behind)}\r\n" for name, value in fields)
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\n" * 2]))
    start = interim + f"HTTP/1.1 {status} Reason\r\n".encode()
    return start + head.encode("latin-1") + b"\r\n" + framed, (status, fields, body)


@given(answers(), st.sets(st.integers(0, 5000)))
def test_an_answer_means_the_same_in_whatever_segments_it_comes(
    answer: tuple[bytes, Given], places: set[int]
) -> None:
    sent, meant = answer
    found, usable = read(cut(sent, places))
    assert (found.status, list(found.headers.items()), found.data) == meant
    assert usable


def test_each_byte_may_come_alone() -> None:
    found, usable = read(bytes([byte]) for byte in CHUNKED + b"2\r\nhi\r\n0\r\n\r\n")
    assert (found.status, found.data, usable) == (200, b"hi", True)


@given(answers(), st.data())
def test_a_truncated_answer_is_never_complete(
    answer: tuple[bytes, Given], data: st.DataObject
) -> None:
    sent = answer[0][: data.draw(st.integers(1, len(answer[0]) - 1))]
    reader = AnswerReader("GET")
    reader.feed(sent)
    assert not reader.is_complete
    with pytest.raises(BrokenAnswerError, match="ends early"):
        reader.feed(b"")
    reader.close()


def test_fields_keep_their_spelling_and_order_and_stay_repeated() -> None:
    sent = OK + b"set-Cookie: a\r\nX: \xe9 \t\r\nSET-COOKIE:b\r\nE:\r\nContent-Length: 0\r\n\r\n"
    found, _ = read([sent])
    assert list(found.headers.items()) == [
        *(("set-Cookie", "a"), ("X", "\xe9"), ("SET-COOKIE", "b"), ("E", "")),
        ("Content-Length", "0"),
    ]
    assert found.headers.get("Set-Cookie") == "a, b"
    assert found.headers.get("x") == "\xe9"
    assert found.headers.get("y") is None
    assert Fields().get("x") is None


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_interim_answers_are_skipped(status: int) -> None:
    interim = f"HTTP/1.1 {status} X\r\nLink: <x>\r\n\r\n".encode()
    found, usable = read([interim * 3 + PLAIN])
    assert (found.status, found.data, usable) == (200, b"hi", True)
    assert found.headers.get("Link") is None


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 7\r\n"])
@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", b"200"), ("HEAD", b"404"), ("GET", b"204"), ("GET", b"304"), ("HEAD", b"304")],
)
def test_some_answers_have_no_body(method: str, status: bytes, framing: bytes) -> None:
    found, _ = read([b"HTTP/1.1 " + status + b" X\r\n" + framing + b"\r\n"], method)
    assert (found.status, found.data) == (int(status), b"")


def test_after_the_answer_to_head_the_connection_is_kept() -> None:
    assert is_kept(TWO + b"\r\n", "HEAD")


@pytest.mark.parametrize(
    ("answer", "method"),
    [
        (PLAIN + b"X", "GET"),
        (PLAIN + PLAIN, "GET"),
        (PLAIN + b"HTTP/1.1 200", "GET"),
        (PLAIN, "HEAD"),
        (CHUNKED + b"0\r\n\r\n" + b"0", "GET"),
        (CHUNKED, "HEAD"),
        (b"HTTP/1.1 204 X\r\n\r\nx", "GET"),
        (OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n", "GET"),
        (OK + b"Connection: close\r\nContent-Length: 0\r\n\r\nX", "GET"),
        (OK + b"Connection: x, Close\r\nContent-Length: 0\r\n\r\n", "GET"),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n", "HEAD"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "GET"),
    ],
)
def test_a_connection_with_more_to_read_or_to_be_closed_is_not_kept(
    answer: bytes, method: str
) -> None:
    assert not is_kept(answer, method)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"\r\nhi",
        b"HTTP/1.1 205 X\r\n\r\n",
        b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 103 X\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 199 X\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 150 X\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        TWO + b"Content-Length: 2\r\n\r\nhi",
        TWO + b"Content-Length: 3\r\n\r\nhi",
        TWO + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        OK + b"Content-Length: 2, 2\r\n\r\nhi",
        OK + b"Content-Length: +2\r\n\r\nhi",
        OK + b"Content-Length: -2\r\n\r\nhi",
        OK + b"Content-Length:\r\n\r\nhi",
        OK + b"Content-Length: 99999999999999999999\r\n\r\nhi",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\nhi",
        OK + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\nhi",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2 \r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2\nhi\n0\n\n",
        CHUNKED + b"2\r\nhi!\r\n0\r\n\r\n",
        OK + b"A: 1\r\n folded\r\nContent-Length: 0\r\n\r\n",
        OK + b" A: 1\r\nContent-Length: 0\r\n\r\n",
        OK + b"A : 1\r\nContent-Length: 0\r\n\r\n",
        OK + b"no colon\r\nContent-Length: 0\r\n\r\n",
        OK + b": x\r\nContent-Length: 0\r\n\r\n",
        OK + b"\xe9: x\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: x\x00y\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: x\ry\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: b\r\n" * MAX_FIELDS + b"Content-Length: 0\r\n\r\n",
    ],
    ids=lambda answer: answer[:70].decode("latin-1"),
)
def test_what_could_be_understood_differently_is_broken(answer: bytes) -> None:
    for segments in ([answer], [answer[at : at + 1] for at in range(len(answer))]):
        reader = AnswerReader("GET")
        with pytest.raises(BrokenAnswerError):
            for segment in segments:
                reader.feed(segment)
        assert not reader.is_complete
        reader.close()


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"HTTP/1.1 200 ", b"O"),
        (OK + b"A: ", b"x"),
        (OK, b"A: b\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"\r\n"),
        (CHUNKED + b"2;", b"x"),
        (CHUNKED + b"2\r\nhi\r\n0\r\n", b"A: b\r\n"),
        (CHUNKED + b"2\r\nhi\r\n0\r\nA: ", b"x"),
    ],
    ids=["reason", "field", "fields", "interim", "line ends", "extension", "trailers", "trailer"],
)
def test_what_never_ends_is_broken(start: bytes, endless: bytes) -> None:
    reader = AnswerReader("GET")
    with pytest.raises(BrokenAnswerError):
        for segment in [start or b"\r\n", *[endless * 100] * (MAX_HEAD // 100 + 2)]:
            reader.feed(segment)
    assert not reader.is_complete
    reader.close()


def test_a_large_head_is_broken_even_in_one_segment() -> None:
    fields = b"".join(b"A%d: %s\r\n" % (number, b"x" * 10_000) for number in range(7))
    with pytest.raises(BrokenAnswerError):
        AnswerReader("GET").feed(OK + fields + b"Content-Length: 0\r\n\r\n")


def test_a_body_may_be_larger_than_a_head() -> None:
    body = b"x" * (5 * MAX_HEAD)
    sent = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    found, usable = read(sent[at : at + MAX_HEAD] for at in range(0, len(sent), MAX_HEAD))
    assert (len(found.data), usable) == (5 * MAX_HEAD, True)
