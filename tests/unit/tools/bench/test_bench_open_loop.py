"""Requests at a held rate: sent when they are due, timed from then."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tools.bench import open_loop
from tools.bench.open_loop import Answers, Message, percentile
from tools.stack.ports import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
Answer = Callable[[bytes], Awaitable[bytes | None]]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A server that answers each request with what `answer` returns, or closes on None."""
    port, started = free_port(), threading.Event()
    stop: Callable[[], object] = started.clear

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if (answered := await answer(head)) is None:
                    break
                writer.write(answered)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def serve() -> None:
        nonlocal stop
        end, loop = asyncio.Event(), asyncio.get_running_loop()
        stop = partial(loop.call_soon_threadsafe, end.set)
        server = await asyncio.start_server(connected, "127.0.0.1", port)
        started.set()
        await end.wait()
        server.close()

    # asyncio.run cancels what is still open in the end
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(30)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop()
        thread.join()


def read(number: int) -> Message:
    """Every second request is of another kind."""
    return Message(("even", "odd")[number % 2], open_loop.request("GET", f"/{number}"))


def test_every_request_is_answered_and_grouped_by_its_kind() -> None:
    async def answer(_head: bytes) -> bytes:
        return OK

    with serving(answer) as address:
        answers = open_loop.load(address, read, 200, 0.5)
    assert {kind: len(times) for kind, times in answers.times.items()} == {"even": 50, "odd": 50}
    assert not answers.failed
    assert answers.sample().rate == pytest.approx(200)
    assert answers.sample("odd").units == 50


def test_requests_are_sent_though_none_is_answered_and_their_times_count_from_when_due() -> None:
    count, rate = 20, 100
    seen: list[bytes] = []
    all_seen = asyncio.Event()

    async def answer(head: bytes) -> bytes:
        seen.append(head)
        if len(seen) == count:
            all_seen.set()
        await all_seen.wait()
        return OK

    with serving(answer) as address:
        answers = open_loop.load(address, read, rate, count / rate)
    first = answers.times["even"]
    # the first was due 19 intervals before the last, which all waited for
    assert max(first) >= 1000 * (count - 1) / rate
    assert sum(map(len, answers.times.values())) == count


def test_refused_and_broken_requests_have_failed() -> None:
    async def answer(head: bytes) -> bytes | None:
        even = int(head.split(b" ")[1][1:]) % 2 == 0
        return b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" if even else None

    with serving(answer) as address:
        answers = open_loop.load(address, read, 100, 0.1)
    assert answers.failed == {"even": 5, "odd": 5}
    assert answers.sample().failed == 10
    assert answers.sample().rate == 0


def test_a_connection_that_the_server_closes_after_each_answer_is_replaced() -> None:
    async def answer(_head: bytes) -> bytes:
        return b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    with serving(answer) as address:
        answers = open_loop.load(address, read, 100, 0.2)
    assert answers.sample().units == 20


def test_without_a_server_all_requests_have_failed() -> None:
    answers = open_loop.load(f"http://127.0.0.1:{free_port()}", read, 100, 0.1)
    assert answers.sample().failed == 10


def test_what_is_not_answered_in_the_end_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_loop, "PATIENCE_SECONDS", 0.1)

    async def answer(_head: bytes) -> bytes:
        await asyncio.Event().wait()
        return OK

    with serving(answer) as address:
        answers = open_loop.load(address, read, 100, 0.1)
    assert answers.sample().failed == 10


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100)])
def test_a_percentile_is_the_nearest_rank(share: float, value: float) -> None:
    assert percentile(list(range(1, 101)), share) == value


def test_a_kind_that_was_never_asked_for_has_no_times() -> None:
    assert Answers(1.0, {"even": [1.0]}, {}).sample("odd").p50 is None


def test_a_request_with_a_body_says_how_long_it_is() -> None:
    data = open_loop.request("POST", "/api/orders", '{"name": "é"}', token="t")
    head, _, body = data.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Authorization: Bearer t" in head
