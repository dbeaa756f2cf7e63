"""What /proc tells about processes; one that has ended, or is not ours to see, reads as nothing."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from tools.stack.waiting import wait_until

PROC = Path("/proc")
GONE = " (deleted)"
ENDED = ([b"Z"], [b"X"])
FREEZE_SECONDS = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def pids() -> Iterator[int]:
    """Every process id, this process's own included."""
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _fields(pid: int, name: str = "stat") -> list[bytes]:
    """What stands behind the program's name in stat, the state first (proc_pid_stat(5))."""
    return _read(pid, name).rpartition(b")")[2].split()


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has reaped does not."""
    return _fields(pid)[:1] not in ([], *ENDED)


def parent(pid: int) -> int:
    """The parent's process id, 0 if there is none."""
    fields = _fields(pid)
    return int(fields[1]) if fields else 0


def name(pid: int) -> str:
    """The program's name, at most 15 characters, as ps shows it."""
    return _read(pid, "comm").decode(errors="replace").strip()


def command(pid: int) -> str:
    """The command line, its words separated by blanks."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def environment(pid: int) -> dict[str, str]:
    """The environment that the process was started with."""
    entries = _read(pid, "environ").decode(errors="replace").split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def directory(pid: int) -> Path | None:
    """The working directory; one that was removed meanwhile is still named."""
    try:
        return Path(os.readlink(PROC / str(pid) / "cwd").removesuffix(GONE))
    except OSError:
        return None


def working_in(place: Path) -> list[int]:
    """The running processes whose working directory is `place` itself."""
    return [pid for pid in pids() if directory(pid) == place and alive(pid)]


def within(home: Path) -> list[int]:
    """The running processes whose working directory is `home` or lies below it."""
    found = ((pid, directory(pid)) for pid in pids())
    return [p for p, cwd in found if cwd and cwd.is_relative_to(home) and alive(p)]


def started_by_pm2(home: Path) -> list[int]:
    """The running processes that belong to the PM2 at home in `home`, itself included."""
    found = ((pid, environment(pid).get("PM2_HOME")) for pid in pids())
    return [pid for pid, theirs in found if theirs == str(home) and alive(pid)]


def signal_all(pids: Iterable[int], sign: signal.Signals) -> None:
    """Send a signal to each that still runs; 0 stands for none."""
    for pid in filter(None, pids):
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


def freeze(pids: Iterable[int]) -> None:
    """SIGSTOP each that still runs, and wait until all their threads have stopped.

    The signal alone stops nobody: a thread that waits for a core goes on until it is told.

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
    try:
        threads = os.listdir(PROC / str(pid) / "task")
    except (FileNotFoundError, ProcessLookupError):
        return True
    states = (_fields(pid, f"task/{thread}/stat")[:1] for thread in threads)
    return all(state in ([], *ENDED, [b"T"], [b"t"]) for state in states)


def pss(pid: int) -> int:
    """Proportional set size in bytes: private memory plus a fair share of what is shared."""
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid: int) -> float:
    """CPU time in seconds of the process and of its children that have ended (proc_pid_stat(5))."""
    fields = _fields(pid)
    return sum(map(int, fields[11:15])) / TICKS
