"""PM2 with a home of its own and a clean environment, since it saves its caller's."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import processes
from local.errors import StackError
from local.layout import CHECKOUT, INSTALLED, SERVICES
from local.waiting import wait_until

NODE = INSTALLED / "bin" / "node"
PROGRAM = INSTALLED / "pm2" / "node_modules" / "pm2" / "bin" / "pm2"
STOP_SECONDS = 30.0
Result = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Entry:
    """A process as PM2 sees it: memory in bytes, start in seconds since 1970."""

    name: str
    pid: int
    status: str
    restarts: int
    memory: int
    started: float


class Pm2:
    """The PM2 at home in `home`, whose processes read their variables from `env_file`."""

    def __init__(self, home: Path, env_file: Path) -> None:
        self.home = home
        self.logs = home / "logs"
        self._env_file = env_file

    def command(self, *arguments: str) -> list[str]:
        """The command line of a call."""
        return [str(NODE), str(PROGRAM), *arguments]

    def environment(self) -> dict[str, str]:
        """All that PM2 and its processes get to see; no secret among it."""
        return {
            "PATH": f"{NODE.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(Path.home()),
            "LANG": "C.UTF-8",
            "PM2_HOME": str(self.home),
            "PM2_KILL_SIGNAL": "SIGTERM",
            # neither questions to a server nor a banner
            "PM2_DISABLE_VERSION_CHECK": "true",
            "PM2_DISCRETE_MODE": "true",
            "ENV_FILE": str(self._env_file),
            "PYTHON": sys.executable,
            "ROOT": str(CHECKOUT),
        }

    def run(self, *arguments: str) -> Result:
        """Call PM2; its answer is in `stdout` and `stderr`, its success in `returncode`."""
        self._require()
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(),
            cwd=self._make_home(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def call(self, *arguments: str) -> Result:
        """Call PM2 and raise StackError with the end of its answer when it fails."""
        done = self.run(*arguments)
        if done.returncode:
            answer = " ".join((done.stdout + done.stderr).split())[-500:]
            raise StackError(f"pm2 {' '.join(arguments)} failed: {answer}")
        return done

    def become(self, arguments: Sequence[str]) -> None:
        """Replace this process by a call of PM2 that has the terminal to itself."""
        self._require()
        os.chdir(self._make_home())
        terminal = {name: os.environ[name] for name in ("TERM",) if name in os.environ}
        os.execve(NODE, self.command(*arguments), self.environment() | terminal)

    def start(self) -> None:
        """Start every service's processes anew, with the variables and the code of now."""
        if self.entries():
            self.call("delete", "all")
        files = (str(CHECKOUT / service / "ecosystem.config.js") for service in SERVICES)
        self.call("start", *files)

    def entries(self) -> list[Entry]:
        """The processes that PM2 knows; none when it does not run."""
        if not self.daemon():
            return []
        answer = self.call("jlist").stdout
        return [_entry(item) for item in json.loads(answer[answer.index("[") :])]

    def daemon(self) -> int | None:
        """PM2's own process id, or None."""
        found = [pid for pid in self.pids() if processes.name(pid).startswith("PM2")]
        return found[0] if found else None

    def pids(self) -> list[int]:
        """PM2 and everything below it, and what a killed PM2 has left."""
        return processes.started_by_pm2(self.home)

    def stop(self) -> None:
        """End all processes in good order, then PM2."""
        if self.daemon():
            self.call("kill")
        self.end_orphans()

    def end_orphans(self) -> None:
        """End what a PM2 that was killed has left behind, since it holds ports."""
        if self.daemon():
            return
        processes.signal_all(self.pids(), signal.SIGTERM)
        wait_until(lambda: not self.pids(), STOP_SECONDS, "processes of a killed PM2 to end")

    def _make_home(self) -> Path:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.home

    def _require(self) -> None:
        if not PROGRAM.exists():
            raise StackError("PM2 is not installed: run ./stack up, which installs it.")


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
