"""A server whose log lines nobody reads, as those of a frozen PM2: it serves all the same."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from chassis.settings import DatabaseSettings
from tests.support.served import SECONDS, Served, gateway_variables, serving
from tools.stack import processes
from tools.stack.waiting import wait_until


@pytest.fixture
def full(database_settings: Callable[[str], DatabaseSettings], tmp_path: Path) -> Iterator[Served]:
    """A gateway whose standard output, which nobody reads, is full from the beginning."""
    reader, writer = socket.socketpair()
    with suppress(BlockingIOError):
        while True:
            writer.send(b"." * 100, socket.MSG_DONTWAIT)
    variables = gateway_variables(database_settings("gateway"))
    with reader, writer, serving("gateway", variables, tmp_path, writer.fileno()) as served:
        yield served


def _status(served: Served, path: str = "/live") -> int:
    return requests.get(served.url + path, timeout=SECONDS).status_code


def _workers(served: Served) -> set[int]:
    return set(processes.family(served.process.pid)[1:])


def test_requests_are_answered_although_nobody_reads_the_log(full: Served) -> None:
    answers = {_status(full, "/nowhere") for _ in range(50)}
    assert answers == {404}


def test_a_master_with_unread_logs_replaces_its_workers(full: Served) -> None:
    killed = _workers(full)
    processes.signal_all(killed, signal.SIGKILL)
    wait_until(lambda: len(_workers(full) - killed) == len(killed), SECONDS, "other workers")
    wait_until(lambda: _answers(full), SECONDS, "them to answer")


def _answers(served: Served) -> bool:
    try:
        return _status(served) == 200
    except requests.RequestException:
        return False


def test_a_server_with_unread_logs_ends_at_sigterm(full: Served) -> None:
    full.process.terminate()
    assert full.process.wait(SECONDS) == 0
