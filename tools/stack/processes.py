"""What psutil says of processes; one that has ended, or is not ours to see, reads as nothing."""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

from tools.stack.waiting import wait_until

ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
FROZEN = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
FREEZE_SECONDS = 10.0
ValueT = TypeVar("ValueT")


def _read(pid: int, value: Callable[[psutil.Process], ValueT], otherwise: ValueT) -> ValueT:
    try:
        return value(psutil.Process(pid))
    except psutil.Error:
        return otherwise


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has reaped does not."""
    return _state(pid) not in ENDED


def _state(pid: int) -> str:
    return _read(pid, psutil.Process.status, psutil.STATUS_DEAD)


def parent(pid: int) -> int:
    """The parent's process id, 0 if there is none."""
    return _read(pid, psutil.Process.ppid, 0)


def family(pid: int) -> list[int]:
    """A process and all below it; none if there is no such process."""
    return _read(pid, lambda top: [pid, *(p.pid for p in top.children(recursive=True))], [])


def name(pid: int) -> str:
    """The program's name."""
    return _read(pid, psutil.Process.name, "")


def command(pid: int) -> str:
    """The command line, its words separated by blanks."""
    return " ".join(_read(pid, psutil.Process.cmdline, [])).strip()


def environment(pid: int) -> dict[str, str]:
    """The environment that the process was started with."""
    return _read(pid, psutil.Process.environ, {})


def directory(pid: int) -> Path | None:
    """The working directory; one that was removed meanwhile is still named."""
    found = _read(pid, psutil.Process.cwd, "")
    return Path(found) if found else None


def _running(wanted: Callable[[int], bool]) -> list[int]:
    return [pid for pid in psutil.pids() if wanted(pid) and alive(pid)]


def working_in(place: Path) -> list[int]:
    """The running processes whose working directory is `place` itself."""
    return _running(lambda pid: directory(pid) == place)


def within(home: Path) -> list[int]:
    """The running processes whose working directory is `home` or lies below it."""
    return _running(lambda pid: (directory(pid) or Path()).is_relative_to(home))


def started_by_pm2(home: Path) -> list[int]:
    """The running processes that belong to the PM2 at home in `home`, itself included."""
    return _running(lambda pid: environment(pid).get("PM2_HOME") == str(home))


def signal_all(pids: Iterable[int], sign: signal.Signals) -> None:
    """Send a signal to each that still runs; 0 stands for none."""
    for pid in filter(None, pids):
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


def freeze(pids: Iterable[int]) -> None:
    """SIGSTOP each that still runs, and wait until all their threads have stopped.

    The signal does not stop a process at once: a thread that waits for a core gets it later.

    Raises:
        StackError: one goes on for 10 seconds, in the kernel.
    """
    frozen = list(filter(None, pids))
    signal_all(frozen, signal.SIGSTOP)
    wait_until(lambda: all(map(_stopped, frozen)), FREEZE_SECONDS, "processes to be frozen", 0.005)


def thaw(pids: Iterable[int]) -> None:
    """SIGCONT each that still runs."""
    signal_all(pids, signal.SIGCONT)


def _stopped(pid: int) -> bool:
    """Whether no thread runs, or may; one that has ended runs no more."""
    nothing: list[int] = []
    threads = _read(pid, lambda process: [thread.id for thread in process.threads()], nothing)
    # the kernel shows a thread as it shows a process, under the thread's own number
    return all(_state(thread) in (*ENDED, *FROZEN) for thread in threads)


def pss(pid: int) -> int:
    """Proportional set size in bytes: private memory plus a fair share of what is shared."""
    return _read(pid, lambda process: process.memory_full_info().pss, 0)


def cpu_seconds(pid: int) -> float:
    """CPU time in seconds of the process and of its children that have ended."""
    return _read(pid, lambda process: sum(process.cpu_times()[:4]), 0.0)
