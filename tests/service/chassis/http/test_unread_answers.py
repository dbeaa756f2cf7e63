"""Answers that nobody reads, from a real granian: they do not stay for ever."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET, create_connection, socket

import pytest

from chassis.http import server
from chassis.settings import PortSettings, ServerSettings
from tests.support.process import ROOT
from tests.support.served import READ_LIMIT_IS_SET, SECONDS
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until

GET = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
SIZE = 32 * 1024 * 1024  # more than the kernel keeps for a connection
ESTABLISHED = "01"


@contextmanager
def serving_large_answers(limit: float, home: Path) -> Iterator[int]:
    """Have granian serve large answers to whoever reads within `limit` seconds; lends its port.

    A connection made before the limit is set has none: the server listens a moment earlier.
    """
    port = free_port()
    place = ServerSettings(bind="127.0.0.1", workers=1, threads=2)
    options = server.options_of(place, PortSettings(port=port))
    command = [sys.executable, "-m", "granian", *options, "tests.support.unread_app:app"]
    environment = {**os.environ, "UNREAD_SECONDS": str(limit), "ANSWER_BYTES": str(SIZE)}
    written = home / "granian.log"
    with written.open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: READ_LIMIT_IS_SET in written.read_text(), SECONDS, "the limit to be set")
        yield port
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            process.kill()


def timers(port: int, state: str, client: int = 0) -> list[str]:
    """The lines of the kernel's table of connections for those of `port` here (proc_net_tcp(5))."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here, there = f":{port:04X}", f":{client:04X}"
    found = [f for f in lines if f[1].endswith(here) and f[3] == state]
    return [" ".join(fields) for fields in found if not client or fields[2].endswith(there)]


def asking(port: int) -> socket:
    """A connection on which a large answer was asked for, and nothing is read."""
    connection = create_connection(("127.0.0.1", port), SECONDS)
    connection.setsockopt(SOL_SOCKET, SO_RCVBUF, 64 * 1024)
    connection.sendall(GET)
    return connection


def waits_to_send(port: int, client: socket) -> bool:
    """Whether the server has bytes for a client that takes none."""
    lines = timers(port, ESTABLISHED, client.getsockname()[1])
    return any(int(line.split()[4].partition(":")[0], 16) for line in lines)


def test_a_connection_whose_client_never_reads_is_closed(tmp_path: Path) -> None:
    with serving_large_answers(1, tmp_path) as port, asking(port) as client:
        wait_until(lambda: waits_to_send(port, client), SECONDS, "the answer to begin")
        number = client.getsockname()[1]
        gone = "the connection to be closed at its server"
        wait_until(lambda: not timers(port, ESTABLISHED, number), SECONDS, gone)
        read = 0
        with pytest.raises(ConnectionError):
            while part := client.recv(1024 * 1024):
                read += len(part)
            raise ConnectionError("the answer ended early")
        assert read < SIZE


def test_a_client_that_pauses_gets_the_whole_answer(tmp_path: Path) -> None:
    with serving_large_answers(600, tmp_path) as port, asking(port) as client:
        wait_until(lambda: waits_to_send(port, client), SECONDS, "the answer to begin")
        data = bytearray()
        while part := client.recv(1024 * 1024):
            data += part
        assert len(data.partition(b"\r\n\r\n")[2]) == SIZE
