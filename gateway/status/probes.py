"""Probes that run at the same time; a slow one does not delay the others."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

from gateway.status.probe import ProbeError

SECONDS = 1.0  # longer than the time limit of each probe
Task = Callable[[], Any]
logger = logging.getLogger(__name__)


class ProbeResult(NamedTuple):
    """What a probe returned; None with the reason in `failure`."""

    value: Any = None
    failure: str | None = None


UNKNOWN = ProbeResult(failure="not known yet")


class Probes:
    """Runs the same tasks repeatedly, each in a thread of its own and never twice at once."""

    def __init__(self, tasks: Mapping[str, Task], seconds: float | None = None) -> None:
        """Prepare to run `tasks`; a run takes `seconds` at most."""
        self._tasks = tasks
        self._seconds = seconds or SECONDS
        self._running: dict[str, Future[Any]] = {}

    def run(self) -> dict[str, ProbeResult]:
        """Run all tasks and wait for them; one that is still running is not started again."""
        for name in self._tasks.keys() - self._running.keys():
            self._running[name] = _started(name, self._tasks[name])
        wait(self._running.values(), self._seconds)
        return {name: self._outcome(name) for name in self._tasks}

    def _outcome(self, name: str) -> ProbeResult:
        if not self._running[name].done():
            return ProbeResult(failure=f"no answer within {self._seconds:g} s")
        done = self._running.pop(name)
        error = done.exception()
        return ProbeResult(done.result()) if error is None else ProbeResult(failure=str(error))


def _started(name: str, task: Task) -> "Future[Any]":
    future: Future[Any] = Future()
    thread = threading.Thread(target=_do, args=(task, future), name=f"watch {name}", daemon=True)
    thread.start()
    return future


def _do(task: Task, future: "Future[Any]") -> None:
    try:
        future.set_result(task())
    except ProbeError as error:
        future.set_exception(error)
    except Exception as error:
        logger.exception("a part of the platform can't be watched")
        future.set_exception(error)
