"""Replies of Redis, however they are cut, and what is none."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cache.redis_connection import BrokenReplyError, RedisConnection

BIG = b"x" * 200_000
COMMAND = b"*1\r\n$4\r\nPING\r\n"


@contextmanager
def connected(
    home: Path, pieces: Sequence[bytes], seconds: float = 10
) -> Iterator[RedisConnection]:
    """A connection whose peer answers a command with these pieces, and then closes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(home / "redis.sock"))
    listener.listen()
    may_close = threading.Event()

    def answer() -> None:
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(1000) == COMMAND
            for piece in pieces:
                peer.sendall(piece)
            if not pieces:
                may_close.wait(30)

    thread = threading.Thread(target=answer)
    thread.start()
    connection = RedisConnection(str(home / "redis.sock"), seconds)
    try:
        yield connection
    finally:
        may_close.set()
        connection.close()
        thread.join()
        listener.close()


def cut(reply: bytes) -> list[bytes]:
    """The reply byte by byte."""
    return [reply[at : at + 1] for at in range(len(reply))]


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ([b"+PONG\r\n"], b"PONG"),
        ([b"$-1\r\n"], None),
        ([b"$0\r\n\r\n"], b""),
        ([b"$6\r\na\r\nb\r\n\r\n"], b"a\r\nb\r\n"),
        (cut(b"$12\r\none\r\n+OK\r\n!!\r\n"), b"one\r\n+OK\r\n!!"),
        (cut(b"$-1\r\n"), None),
        ([b"$200000\r\n" + BIG + b"\r\n"], BIG),
    ],
)
def test_a_reply_is_read_however_it_is_cut(
    tmp_path: Path, pieces: list[bytes], answer: bytes | None
) -> None:
    with connected(tmp_path, pieces) as connection:
        assert connection.ask(COMMAND) == answer


@pytest.mark.parametrize(
    "reply",
    [
        b"-OOM command not allowed\r\n",
        b":1\r\n",
        b"*0\r\n",
        b"\r\n",
        b"$-1\r\n+OK\r\n",
        b"$1\r\nab\r\n",
        b"$1\r\na\r\n+OK\r\n",
        b"+OK\r\n+OK\r\n",
        b"$x\r\n\r\n",
        b"$-2\r\n\r\n",
    ],
)
def test_what_is_no_reply_is_refused(tmp_path: Path, reply: bytes) -> None:
    with connected(tmp_path, [reply]) as connection, pytest.raises(BrokenReplyError):
        connection.ask(COMMAND)


@pytest.mark.parametrize("pieces", [[b"$5\r\nabc"], [b"$5"], [b"+PO"]])
def test_an_end_amid_a_reply_is_noticed(tmp_path: Path, pieces: list[bytes]) -> None:
    with connected(tmp_path, pieces) as connection, pytest.raises(ConnectionError):
        connection.ask(COMMAND)


def test_a_redis_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with connected(tmp_path, [], seconds=0.01) as connection, pytest.raises(TimeoutError):
        connection.ask(COMMAND)


def test_without_a_redis_there_is_no_connection(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RedisConnection(str(tmp_path / "none.sock"), 1)
