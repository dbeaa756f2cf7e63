"""PM2 with its own home and a clean environment, since PM2 saves its caller's variables."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT, INSTALLED
from tools.stack.waiting import wait_until

NODE = INSTALLED / "bin" / "node"
PROGRAM = INSTALLED / "pm2" / "node_modules" / "pm2" / "bin" / "pm2"
SOCKETS = ("rpc.sock", "pub.sock")
STOP_SECONDS = 30.0
# a call that stops all processes, two at a time; each may take 15 s
CALL_SECONDS = 180.0
# from the start of PM2 until it listens
LISTEN_SECONDS = 5.0
CONNECT_SECONDS = 1.0
_CREDENTIALS = struct.Struct("3i")
Result = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Entry:
    """A process as PM2 lists it: memory in bytes, start in seconds since 1970."""

    name: str
    pid: int
    status: str
    restarts: int
    memory: int
    started: float


class Pm2:
    """The PM2 whose PM2_HOME is `home`; its processes read their variables from `env_file`."""

    def __init__(self, home: Path, env_file: Path) -> None:
        self.home = home
        self.logs = home / "logs"
        self._env_file = env_file

    def command(self, *arguments: str) -> list[str]:
        """The command line of a call."""
        return [str(NODE), str(PROGRAM), *arguments]

    def environment(self) -> dict[str, str]:
        """The variables of PM2 and its processes; none is secret."""
        return {
            "PATH": f"{NODE.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(Path.home()),
            "LANG": "C.UTF-8",
            "PM2_HOME": str(self.home),
            "PM2_KILL_SIGNAL": "SIGTERM",
            # no requests to a server, no banner
            "PM2_DISABLE_VERSION_CHECK": "true",
            "PM2_DISCRETE_MODE": "true",
            "ENV_FILE": str(self._env_file),
            "PYTHON": sys.executable,
            "ROOT": str(CHECKOUT),
        }

    def run(self, *arguments: str) -> Result:
        """Call PM2; the result has its output and its exit status, which may be a failure.

        Raises StackError when PM2 runs but is unreachable, or does not answer within 3 minutes.
        """
        self._require()
        try:
            return subprocess.run(
                self.command(*arguments),
                env=self.environment(),
                cwd=self._make_home(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=CALL_SECONDS,
            )
        except subprocess.TimeoutExpired:
            called = f"pm2 {' '.join(arguments)}"
            raise StackError(f"{called} did not end within {CALL_SECONDS:g} s.") from None

    def call(self, *arguments: str) -> Result:
        """Call PM2; raises StackError with the end of its output when it fails."""
        done = self.run(*arguments)
        if done.returncode:
            answer = " ".join((done.stdout + done.stderr).split())[-500:]
            raise StackError(f"pm2 {' '.join(arguments)} failed: {answer}")
        return done

    def become(self, arguments: Sequence[str]) -> None:
        """Replace this process by a call of PM2, which gets the terminal."""
        self._require()
        os.chdir(self._make_home())
        terminal = {name: os.environ[name] for name in ("TERM",) if name in os.environ}
        os.execve(NODE, self.command(*arguments), self.environment() | terminal)

    def start(self) -> None:
        """Start every service's processes again, with the current variables and code."""
        if self.entries():
            self.call("delete", "all")
        self.call("start", str(CHECKOUT / "chassis" / "ecosystem.config.js"))

    def entries(self) -> list[Entry]:
        """The processes that PM2 knows; none when it does not run."""
        if not self.daemon():
            return []
        answer = self.call("jlist").stdout
        return [_entry(item) for item in json.loads(answer[answer.index("[") :])]

    def daemon(self) -> int | None:
        """PM2's own process id, or None."""
        return next(iter(self.daemons()), None)

    def daemons(self) -> list[int]:
        """All PM2s with this home: several if a client did not find the first one's socket."""
        return [pid for pid in self.pids() if processes.name(pid).startswith("PM2")]

    def is_reachable(self) -> bool:
        """Whether exactly one PM2 runs and listens at both sockets."""
        daemons = self.daemons()
        return len(daemons) == 1 and all(
            _listener(self.home / name) == daemons[0] for name in SOCKETS
        )

    def pids(self) -> list[int]:
        """PM2 and all its processes, and those that a killed PM2 has left."""
        return processes.started_by_pm2(self.home)

    def stop(self) -> None:
        """Stop all processes gracefully, then PM2, whatever state they are in."""
        processes.thaw(self.pids())
        if self._settle():
            # _end_all signals what PM2 did not stop
            with suppress(StackError):
                self.run("kill")
        self._end_all()

    def end_unreachable(self) -> None:
        """Leave one reachable PM2, or nothing: the processes of a killed PM2 hold ports.

        A frozen PM2 resumes. Any call of PM2 would start another one beside an unreachable PM2.
        """
        processes.thaw(self.pids())
        if not self._settle():
            self._end_all()

    def _end_all(self) -> None:
        # first, since PM2 would restart the processes
        processes.signal_all(self.daemons(), signal.SIGKILL)
        wait_until(lambda: not self.daemons(), STOP_SECONDS, "PM2 to end")
        processes.signal_all(self.pids(), signal.SIGTERM)
        try:
            wait_until(lambda: not self.pids(), STOP_SECONDS, "the processes of PM2 to end")
        except StackError:
            processes.signal_all(self.pids(), signal.SIGKILL)
            wait_until(lambda: not self.pids(), STOP_SECONDS, "killed processes of PM2 to end")

    def _settle(self) -> bool:
        """Whether PM2 is reachable, once a PM2 that is starting or stopping has finished that."""
        if not self.daemons():
            return False
        try:
            wait_until(lambda: self.is_reachable() or not self.daemons(), LISTEN_SECONDS, "PM2")
        except StackError:
            return False
        return bool(self.daemons())

    def _make_home(self) -> Path:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.home

    def _require(self) -> None:
        if not PROGRAM.exists():
            raise StackError("PM2 is not installed: run ./stack up, which installs it.")
        if self.daemons() and not self._settle() and (pids := self.daemons()):
            shown = ", ".join(map(str, pids))
            raise StackError(
                f"PM2 (process {shown}) can't be reached at its sockets in {self.home}: "
                "./stack up ends it and starts everything anew."
            )


def _listener(path: Path) -> int | None:
    """The id of the process that listens at a unix socket (SO_PEERCRED, unix(7)), or None."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(CONNECT_SECONDS)
        try:
            client.connect(str(path))
        except OSError:
            return None
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _user, _group = _CREDENTIALS.unpack(credentials)
    return int(pid)


def _entry(item: dict[str, Any]) -> Entry:
    env, monit = item["pm2_env"], item.get("monit") or {}
    return Entry(
        name=item["name"],
        pid=item.get("pid") or 0,
        status=env["status"],
        restarts=env["restart_time"],
        memory=monit.get("memory") or 0,
        started=env.get("pm_uptime", 0) / 1000,
    )
