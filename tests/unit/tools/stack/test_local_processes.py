"""What belongs to a stack and runs, by psutil and pid files."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.pm2 import Pm2
from tools.stack.servers import data_directories
from tools.stack.servers.daemon import Daemon
from tools.stack.waiting import wait_until

SECONDS = 30.0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A server that sleeps."""
    made = Daemon("the sleeper", tmp_path, tmp_path / "pid", tmp_path / "log")
    yield made
    made.end(signal.SIGKILL)


def test_a_daemon_runs_until_it_is_ended(daemon: Daemon) -> None:
    daemon.start(["sleep", "60"], os.environ)
    wait_until(daemon.running, SECONDS, "the sleeper to run")
    daemon.end(signal.SIGTERM)
    assert not daemon.running()
    assert daemon.family() == []


def test_a_process_that_reuses_the_id_in_a_stale_pid_file_is_left_alone(daemon: Daemon) -> None:
    with subprocess.Popen(["sleep", "60"], cwd="/") as other:
        daemon.pid_file.write_text(str(other.pid))
        assert not daemon.running()
        daemon.end(signal.SIGKILL)
        assert other.poll() is None
        other.kill()


def test_a_daemon_that_ends_at_once_is_reported_with_its_last_output(daemon: Daemon) -> None:
    daemon.start(["sh", "-c", "echo no such port >&2; exit 3"], os.environ)
    # one whose id is not in its file yet does not run either
    wait_until(
        lambda: "no such port" in daemon.log.read_text() and not daemon.running(),
        SECONDS,
        "the end",
    )
    with pytest.raises(StackError, match=r"the sleeper ended at once.*no such port"):
        daemon.check()


def test_a_zombie_does_not_count_as_alive() -> None:
    with subprocess.Popen(["true"]) as child:
        wait_until(lambda: not processes.alive(child.pid), SECONDS, "the child to end")


def test_a_process_that_does_not_exist_reads_as_nothing() -> None:
    missing = 2**22 + 1
    assert not processes.alive(missing)
    assert processes.environment(missing) == {}
    assert processes.directory(missing) is None
    assert processes.pss(missing) == 0


def test_this_process_takes_memory() -> None:
    assert processes.pss(os.getpid()) > 1_000_000


def test_a_directory_below_an_unreadable_one_is_not_reachable(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not data_directories.is_reachable(closed / "stack")
    assert data_directories.is_reachable(Path("/usr/lib/stack"))


def test_a_data_directory_whose_path_is_too_long_for_sockets_is_recognised() -> None:
    assert data_directories.is_short(Path("/home/someone/crud-master/.stack/data"))
    assert not data_directories.is_short(Path("/" + "x" * 70))


def test_a_private_data_directory_is_readable_by_servers_and_removed_afterwards() -> None:
    with data_directories.private_home() as home:
        assert home.stat().st_mode & 0o777 == 0o711
    assert not home.exists()


def test_a_process_that_has_just_ended_is_sent_no_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    found = iter([[ended.pid], []])
    monkeypatch.setattr(Pm2, "daemons", lambda _pm2: [])
    monkeypatch.setattr(Pm2, "pids", lambda _pm2: next(found, []))
    Pm2(tmp_path, tmp_path / "env").end_unreachable()


BUSY = """
import threading
for _ in range(4):
    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()
print("busy", flush=True)
"""


def test_a_frozen_process_has_no_running_thread_and_a_resumed_one_has() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            for _ in range(20):
                processes.freeze([child.pid, 0])
                used = processes.cpu_seconds(child.pid)
                states = [_state(thread) for thread in Path(f"/proc/{child.pid}/task").iterdir()]
                assert states == ["T"] * 5
                assert processes.cpu_seconds(child.pid) == used
                processes.thaw([child.pid, 0])
            wait_until(lambda: processes.cpu_seconds(child.pid) > used, SECONDS, "work to go on")
        finally:
            child.kill()


def _state(thread: Path) -> str:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def test_an_ended_process_counts_as_frozen() -> None:
    with subprocess.Popen(["true"]) as child:
        wait_until(lambda: not processes.alive(child.pid), SECONDS, "the child to end")
        processes.freeze([child.pid])
    processes.freeze([child.pid])


def test_all_processes_of_one_pm2_are_found_wherever_they_work_and_frozen_ones_too(
    tmp_path: Path,
) -> None:
    ours, theirs = ({"PM2_HOME": str(tmp_path / name), "PATH": os.defpath} for name in "ab")
    with (
        subprocess.Popen(["sleep", "60"], env=ours, cwd="/") as one,
        subprocess.Popen(["sleep", "60"], env=ours, cwd=tmp_path) as frozen,
        subprocess.Popen(["sleep", "60"], env=theirs, cwd=tmp_path) as other,
    ):
        try:
            processes.freeze([frozen.pid])
            assert processes.started_by_pm2(tmp_path / "a") == sorted([one.pid, frozen.pid])
            assert processes.within(tmp_path) == sorted([frozen.pid, other.pid])
        finally:
            for child in (one, frozen, other):
                child.kill()
    assert processes.started_by_pm2(tmp_path / "a") == []


def test_a_removed_directory_is_still_named(tmp_path: Path) -> None:
    removed = tmp_path / "removed"
    removed.mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=removed) as child:
        removed.rmdir()
        assert processes.directory(child.pid) == removed
        child.kill()
