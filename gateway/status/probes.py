"""Rounds: everything is asked at the same time, and what does not answer holds up nothing."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

from gateway.status.probe import AwayError

SECONDS = 1.0  # longer than the patience of each
Task = Callable[[], Any]
logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """What a task has returned; None with the reason in `failure`."""

    value: Any = None
    failure: str | None = None


UNKNOWN = Found(failure="not known yet")


class Rounds:
    """Does the same tasks again and again, each in a thread, and none twice at once."""

    def __init__(self, tasks: Mapping[str, Task], seconds: float | None = None) -> None:
        """Prepare rounds of `tasks`, each of `seconds` at most."""
        self._tasks = tasks
        self._seconds = seconds or SECONDS
        self._running: dict[str, Future[Any]] = {}

    def run(self) -> dict[str, Found]:
        """Do all tasks, waiting for them for a while; who is late is not asked again meanwhile."""
        for name in self._tasks.keys() - self._running.keys():
            self._running[name] = _started(name, self._tasks[name])
        wait(self._running.values(), self._seconds)
        return {name: self._outcome(name) for name in self._tasks}

    def _outcome(self, name: str) -> Found:
        if not self._running[name].done():
            return Found(failure=f"no answer within {self._seconds:g} s")
        done = self._running.pop(name)
        error = done.exception()
        return Found(done.result()) if error is None else Found(failure=str(error))


def _started(name: str, task: Task) -> "Future[Any]":
    future: Future[Any] = Future()
    thread = threading.Thread(target=_do, args=(task, future), name=f"watch {name}", daemon=True)
    thread.start()
    return future


def _do(task: Task, future: "Future[Any]") -> None:
    try:
        future.set_result(task())
    except AwayError as error:
        future.set_exception(error)
    except Exception as error:
        logger.exception("a part of the platform can't be watched")
        future.set_exception(error)
