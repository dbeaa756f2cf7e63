"""Servers in the background, and whether they have ended."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.servers.daemon import Daemon
from tools.stack.waiting import wait_until

ENVIRONMENT = {"PATH": os.defpath}
SECONDS = 30.0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A server that is at home in a directory of its own."""
    home = tmp_path / "home"
    home.mkdir()
    daemon = Daemon("The server", home, tmp_path / "pid", tmp_path / "log")
    yield daemon
    daemon.end(signal.SIGKILL)


def test_a_server_that_is_not_seen_at_the_first_look_has_not_ended(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.start(["sleep", "60"], ENVIRONMENT)
    wait_until(daemon.running, SECONDS, "the server to run")
    look, looks = processes.directory, iter([None, None])
    monkeypatch.setattr(processes, "directory", lambda pid: next(looks, look(pid)))
    daemon.check()


def test_the_last_output_of_an_ended_server_is_shown(daemon: Daemon) -> None:
    daemon.start(["sh", "-c", "echo no disk; exit 1"], ENVIRONMENT)
    # one whose id is not in its file yet does not run either
    wait_until(
        lambda: "no disk" in daemon.log.read_text() and not daemon.running(),
        SECONDS,
        "the server to end",
    )
    with pytest.raises(StackError, match=r"^The server ended at once\. .* says: no disk$"):
        daemon.check()
