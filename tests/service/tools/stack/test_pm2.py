"""A real PM2 that has lost its sockets, does not answer or runs twice."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.pm2 import Pm2
from tools.stack.servers import data_directories
from tools.stack.waiting import wait_until

SECONDS = 60.0
NAMES = {"first", "second"}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.stack.pm2.LISTEN_SECONDS", 0.5)


@pytest.fixture(scope="module")
def own() -> Iterator[Pm2]:
    """A PM2 of these tests, which need not run; one is started as seldom as possible."""
    with data_directories.private_home() as home:
        made = Pm2(home / "pm2", home / "env")
        yield made
        made.stop()
        assert made.pids() == []


@pytest.fixture
def pm2(own: Pm2) -> Pm2:
    """A PM2 that runs two processes."""
    if not own.is_reachable():
        own.stop()
        _start(own)
    return own


def _start(pm2: Pm2) -> None:
    apps = [{"name": n, "script": "/bin/sleep", "args": "600"} for n in sorted(NAMES)]
    file = pm2.home.parent / "ecosystem.json"
    file.write_text(json.dumps({"apps": [app | {"interpreter": "none"} for app in apps]}))
    pm2.call("start", str(file))
    assert {entry.name for entry in pm2.entries()} == NAMES


def _remove_sockets(pm2: Pm2, *names: str) -> None:
    for name in names:
        (pm2.home / name).unlink()


@contextmanager
def _hidden(pm2: Pm2, *names: str) -> Iterator[None]:
    """Have sockets away for a block."""
    for name in names:
        (pm2.home / name).rename(pm2.home / f"{name}.hidden")
    try:
        yield
    finally:
        for name in names:
            (pm2.home / f"{name}.hidden").rename(pm2.home / name)


def _start_second(pm2: Pm2) -> int:
    """Have PM2's own client, which finds no socket, start another PM2; return its process id."""
    first = pm2.daemon()
    subprocess.run(pm2.command("list"), env=pm2.environment(), check=True, capture_output=True)
    return next(pid for pid in pm2.daemons() if pid != first)


def test_a_pm2_is_reachable_while_it_has_its_sockets(pm2: Pm2) -> None:
    assert pm2.is_reachable()
    daemon = pm2.daemon()
    pm2.end_unreachable()
    assert pm2.daemon() == daemon


@pytest.mark.parametrize("names", [("rpc.sock", "pub.sock"), ("rpc.sock",), ("pub.sock",)])
def test_no_call_starts_a_second_pm2_beside_one_without_sockets(
    pm2: Pm2, names: tuple[str, ...]
) -> None:
    with _hidden(pm2, *names):
        before = pm2.pids()
        for call in (pm2.entries, lambda: pm2.call("list"), lambda: pm2.run("stop", "first")):
            with pytest.raises(StackError, match=r"can't be reached.*\./stack up"):
                call()
        with pytest.raises(StackError, match=r"can't be reached.*\./stack up"):
            pm2.become(["list"])
        assert pm2.pids() == before


@pytest.mark.parametrize("names", [("rpc.sock", "pub.sock"), ("rpc.sock",), ("pub.sock",)])
def test_a_pm2_without_sockets_is_ended_with_its_processes_before_a_start(
    pm2: Pm2, names: tuple[str, ...]
) -> None:
    _remove_sockets(pm2, *names)
    before = pm2.pids()
    pm2.end_unreachable()
    assert pm2.pids() == []
    _start(pm2)
    assert len(pm2.pids()) == len(before)


def test_sockets_of_another_program_are_no_sockets_of_pm2(pm2: Pm2) -> None:
    with (
        _hidden(pm2, "rpc.sock", "pub.sock"),
        socket.socket(socket.AF_UNIX) as rpc,
        socket.socket(socket.AF_UNIX) as pub,
    ):
        for name, listener in (("rpc.sock", rpc), ("pub.sock", pub)):
            listener.bind(str(pm2.home / name))
            listener.listen()
        assert not pm2.is_reachable()


def test_a_stop_ends_a_pm2_without_sockets(pm2: Pm2) -> None:
    _remove_sockets(pm2, "rpc.sock", "pub.sock")
    pm2.stop()
    assert pm2.pids() == []


def test_a_stop_ends_two_pm2s_of_one_home(pm2: Pm2) -> None:
    _remove_sockets(pm2, "rpc.sock", "pub.sock")
    _start_second(pm2)
    pm2.stop()
    assert pm2.pids() == []


def test_two_pm2s_of_one_home_are_ended_before_a_start(pm2: Pm2) -> None:
    _remove_sockets(pm2, "rpc.sock", "pub.sock")
    _start_second(pm2)
    pm2.end_unreachable()
    assert pm2.pids() == []


def test_a_frozen_pm2_is_resumed_before_a_start(pm2: Pm2) -> None:
    daemon = pm2.daemon()
    processes.freeze(pm2.pids())
    pm2.end_unreachable()
    assert pm2.daemon() == daemon
    assert {entry.name for entry in pm2.entries()} == NAMES


def test_a_stop_ends_a_frozen_pm2_and_frozen_processes(pm2: Pm2) -> None:
    processes.freeze(pm2.pids())
    pm2.stop()
    assert pm2.pids() == []


def test_a_stop_kills_processes_that_ignore_sigterm(
    pm2: Pm2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.stack.pm2.STOP_SECONDS", 1.0)
    script = pm2.home.parent / "stubborn.sh"
    script.write_text("trap '' TERM; echo ready; while :; do sleep 1; done")
    pm2.call("start", "/bin/sh", "--name", "stubborn", "--interpreter", "none", "--", str(script))
    log = pm2.logs / "stubborn-out.log"
    wait_until(lambda: log.exists() and "ready" in log.read_text(), SECONDS, "the trap")
    processes.signal_all([pm2.daemon() or 0], signal.SIGKILL)
    pm2.stop()
    assert pm2.pids() == []
