"""A background server: started in its own session, found again by its pid file."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.waiting import wait_until

STOP_SECONDS = 60.0
KEEP_PID = 'echo $$ >"$0" && exec "$@"'
LOG_LINES = 5
LOOK_SECONDS = 0.5


class Daemon:
    """One server, whose working directory is `directory` as long as it runs.

    The pid file alone proves nothing: after a reboot another process may have that id, so the
    working directory must agree.
    """

    def __init__(self, name: str, directory: Path, pid_file: Path, log: Path) -> None:
        self.name = name
        self.directory = directory
        self.pid_file = pid_file
        self.log = log

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], account: str | None = None
    ) -> None:
        """Run `command` in the background as `account` (None: the caller), logging to `log`."""
        self.pid_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            subprocess.run(
                ["setsid", "--fork", "sh", "-c", KEEP_PID, self.pid_file, *command],
                cwd=self.directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=account,
                group=account,
                extra_groups=[] if account else None,
                check=True,
            )
        wait_until(self.pid_file.exists, 10, f"{self.name} to start")

    def pid(self) -> int | None:
        """The running server's process id, or None."""
        try:
            pid = int(self.pid_file.read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None
        ours = processes.directory(pid) == self.directory.resolve()
        return pid if ours and processes.alive(pid) else None

    def running(self) -> bool:
        """Whether the server runs."""
        return self.pid() is not None

    def check(self) -> None:
        """Raise StackError with the end of the log if the server has ended."""
        if not self.pid_file.read_text().strip():
            return
        try:
            # while a process is replaced by its program, /proc does not show it for a moment
            wait_until(self.running, LOOK_SECONDS, self.name)
        except StackError:
            reason = f"{self.name} ended at once. {self.log} says: {self.last_lines()}"
            raise StackError(reason) from None

    def last_lines(self) -> str:
        """The end of the log, on one line."""
        lines = self.log.read_text(errors="replace").split("\n")
        return " | ".join([line.strip() for line in lines if line.strip()][-LOG_LINES:])

    def end(self, sign: signal.Signals) -> None:
        """Send `sign` and wait until the server and its children have ended, if it runs.

        Raises StackError when that takes longer than a minute.
        """
        pid = self.pid()
        if pid is not None:
            processes.signal_all([pid], sign)
        wait_until(lambda: not self.family(), STOP_SECONDS, f"{self.name} to end")
        self.pid_file.unlink(missing_ok=True)

    def family(self) -> list[int]:
        """The server and its children: all processes whose working directory is `directory`."""
        return processes.working_in(self.directory.resolve())
