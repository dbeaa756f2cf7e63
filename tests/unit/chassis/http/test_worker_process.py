"""Loops of one process end together, and none keeps it longer than PM2 waits for it."""

import os
import queue
import re
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

from chassis.http import worker_process
from tools.stack.layout import CHECKOUT

ECOSYSTEM: Path = CHECKOUT / "chassis" / "ecosystem.config.js"
SECONDS = 20.0


@pytest.mark.parametrize(("took", "left"), [(0.0, 10.0), (4.0, 6.0), (9.5, 1.0), (60.0, 1.0)])
def test_the_other_loops_have_what_the_first_one_leaves_of_the_time(
    took: float, left: float
) -> None:
    stopped = 1000.0
    now = stopped + took
    assert worker_process._end(stopped, now) - now == left


def test_the_time_of_all_loops_is_shorter_than_that_of_pm2() -> None:
    [milliseconds] = re.findall(r"kill_timeout: (\d+),", ECOSYSTEM.read_text())
    # the loops', and that of the port for health
    longest = worker_process._FINISH_SECONDS + 2 * worker_process._LEAST_SECONDS
    assert longest < int(milliseconds) / 1000


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of all loops is over as soon as they are told to stop."""
    monkeypatch.setattr(worker_process, "_FINISH_SECONDS", 0.0)


def test_a_loop_that_does_not_end_is_given_up(brief: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_LEAST_SECONDS", 0.05)
    stop, released, ended = threading.Event(), threading.Event(), threading.Event()

    def endless() -> None:
        released.wait(SECONDS)
        ended.set()

    stop.set()
    worker_process.run_together(stop, stop.wait, endless)
    assert not ended.is_set()
    released.set()
    assert ended.wait(SECONDS)


def test_a_loop_is_waited_for_although_the_first_has_taken_all_the_time(
    brief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "_LEAST_SECONDS", SECONDS)
    stop, first_ended, ended = threading.Event(), threading.Event(), threading.Event()

    def other() -> None:
        first_ended.wait(SECONDS)
        ended.set()

    stop.set()
    worker_process.run_together(stop, first_ended.set, other)
    assert ended.is_set()


def test_the_error_of_one_loop_ends_the_others(brief: None) -> None:
    def failing() -> None:
        raise ZeroDivisionError

    stop = threading.Event()
    with pytest.raises(ZeroDivisionError):
        worker_process.run_together(stop, stop.wait, failing)
    assert stop.is_set()


def test_a_loop_that_waits_for_a_queue_ends_whenever_the_signal_comes(brief: None) -> None:
    stop, arrived = threading.Event(), queue.SimpleQueue[str]()
    taken: list[str] = []

    def first() -> None:
        while not stop.is_set():
            with suppress(queue.Empty):
                taken.append(arrived.get(timeout=0.2))

    def handler(_number: int, _frame: FrameType | None) -> None:
        # for longer than the time that is left
        time.sleep(0.3)
        stop.set()

    before = signal.signal(signal.SIGUSR1, handler)
    kill = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    message = threading.Timer(SECONDS / 4, arrived.put, ("a message ends the wait",))
    kill.start()
    message.start()
    try:
        worker_process.run_together(stop, first)
    finally:
        message.cancel()
        signal.signal(signal.SIGUSR1, before)
    assert not taken
