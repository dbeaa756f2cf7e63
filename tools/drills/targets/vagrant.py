"""Controls Vagrant's machines from their host: `vagrant ssh`, `halt`, `up`."""

import os
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.stack import ports
from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT, INSTALLED, LOOPBACK
from tools.stack.waiting import wait_until

# the exit status when ssh itself fails
NO_CONNECTION = 255
TUNNEL_SECONDS = 30.0
SSH = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
Result = subprocess.CompletedProcess[str]


class CommandError(StackError):
    """A command that failed on a machine: its output and exit status."""

    def __init__(self, machine: str, command: str, done: Result) -> None:
        self.status = done.returncode
        output = " ".join((done.stdout + done.stderr).split())[-500:] or "no output"
        shown = " ".join(command.split())[:80]
        super().__init__(f"{machine}: {output} (status {self.status} of {shown})")


class Vagrant:
    """The machines of one project directory.

    Commands run over plain ssh with the configuration of `vagrant ssh-config`, which starts faster
    than `vagrant ssh`. One thread at a time calls Vagrant, which locks the machine that it acts on.
    """

    def __init__(self, project: Path = CHECKOUT, state: Path = INSTALLED / "drills") -> None:
        self._project = project
        self._state = state
        self._lock = threading.RLock()

    def run(self, *arguments: str, seconds: float = 900) -> str:
        """Run a command of Vagrant and return its output. Raises StackError."""
        with self._lock:
            done = self._call("vagrant", *arguments, seconds=seconds)
        if done.returncode:
            output = " ".join((done.stdout + done.stderr).split())[-500:]
            raise StackError(f"vagrant {' '.join(arguments)} failed: {output}")
        return done.stdout

    def ssh(self, machine: str, command: str, text: str = "", seconds: float = 120) -> str:
        """Run a command on a machine with `text` as its input; returns its output.

        Raises StackError.
        """
        done = self._ssh(machine, command, text, seconds)
        if done.returncode == NO_CONNECTION:
            # a restarted machine may have another address
            self._configuration(machine).unlink(missing_ok=True)
            done = self._ssh(machine, command, text, seconds)
        if done.returncode:
            raise CommandError(machine, command, done)
        return done.stdout

    @contextmanager
    def tunnel(self, machine: str, port: int) -> Iterator[int]:
        """Forward a local port to `port` of a machine's loopback. Raises StackError."""
        # this renews an outdated ssh configuration
        self.ssh(machine, "true")
        here = ports.free_port()
        forward = ("-N", "-o", "ExitOnForwardFailure=yes")
        where = f"{LOOPBACK}:{here}:{LOOPBACK}:{port}"
        command = ("ssh", "-F", str(self._configuration(machine)), *SSH, *forward, "-L", where)
        with subprocess.Popen([*command, machine], stdin=subprocess.DEVNULL) as tunnel:
            try:
                wait_until(
                    lambda: ports.accepts(here) or tunnel.poll() is not None,
                    TUNNEL_SECONDS,
                    f"a tunnel to {machine}",
                )
                if tunnel.poll() is not None:
                    raise StackError(
                        f"ssh can't open a tunnel to {machine}: status {tunnel.returncode}."
                    )
                yield here
            finally:
                tunnel.terminate()

    def _ssh(self, machine: str, command: str, text: str, seconds: float) -> Result:
        file = self._configuration(machine)
        if not file.exists():
            self._configure(machine, file, seconds)
        login = f"bash -lc {shlex.quote(command)}"
        return self._call("ssh", "-F", str(file), *SSH, machine, login, text=text, seconds=seconds)

    def _configure(self, machine: str, file: Path, seconds: float) -> None:
        with self._lock:
            if file.exists():
                return
            self._state.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_text(self.run("ssh-config", machine, seconds=seconds))
            part.replace(file)

    def _configuration(self, machine: str) -> Path:
        return self._state / f"ssh-config-{machine}"

    def _call(self, *command: str, text: str = "", seconds: float) -> Result:
        try:
            return subprocess.run(
                command,
                cwd=self._project,
                env={**os.environ, "VAGRANT_CWD": str(self._project)},
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
            )
        except FileNotFoundError:
            raise StackError(f"{command[0]} is not installed.") from None
        except subprocess.TimeoutExpired:
            raise StackError(f"{command[0]} has not ended within {seconds:g} s.") from None
