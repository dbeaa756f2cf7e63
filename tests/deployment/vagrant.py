"""Vagrant, on a copy of the checkout, so that nobody's own machines are touched."""

import os
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tools.stack.layout import CHECKOUT, SERVICES, TOPOLOGY

MACHINES = tuple(machine.name for machine in TOPOLOGY.machines)
COPIED = (
    "Vagrantfile",
    "requirements.lock",
    "topology.yml",
    "topology.ha.yml",
    ".env.example",
    "openapi.yaml",
    "provisioning",
    "chassis",
)
# how provisioning reports a step: machine, title, outcome, seconds
STEP = re.compile(r"^ +(\S+-vm):  (.{28,}?) (\S.*?) +(\d+\.\d) s$", re.MULTILINE)
# what ssh says when it is ssh that has failed
NO_CONNECTION = 255
Result = subprocess.CompletedProcess[str]
AnswerT = TypeVar("AnswerT")


class VagrantFailure(Exception):
    """A command of Vagrant failed; the message is its output."""


class Vagrant:
    """The project in `home`; `output` is Vagrant's output so far."""

    def __init__(self, home: Path, variables: Mapping[str, str]) -> None:
        self.home = home
        self.output = ""
        self._lock = threading.Lock()
        ignore = shutil.ignore_patterns("__pycache__")
        for name in (*COPIED, *SERVICES):
            source = CHECKOUT / name
            if source.is_dir():
                shutil.copytree(source, home / name, ignore=ignore)
            else:
                shutil.copy(source, home / name)
        self.write_env(variables)

    def write_env(self, variables: Mapping[str, str]) -> None:
        """Make .env: .env.example, and `variables` in single quotes."""
        lines = (self.home / ".env.example").read_text()
        own = "".join(
            f"export {name}='{value}' # of the tests\n" for name, value in variables.items()
        )
        file = self.home / ".env"
        file.write_text(lines + own)
        file.chmod(0o600)

    def refusal(self) -> str:
        """The one sentence with which `vagrant up` refuses what .env says."""
        done = self.try_run("up")
        assert done.returncode != 0
        heading = "Vagrant failed to initialize at a very early stage:"
        [sentence] = done.stdout.removeprefix(heading).strip().splitlines()
        return sentence

    def try_run(self, *arguments: str, seconds: float = 900) -> Result:
        """Run a command; what it says is in `stdout`, errors included."""
        done = subprocess.run(
            ["vagrant", *arguments],
            cwd=self.home,
            env={**os.environ, "VAGRANT_CWD": str(self.home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
        )
        with self._lock:
            self.output += done.stdout
        return done

    def run(self, *arguments: str, seconds: float = 900) -> str:
        """Run a command and return what it says. Raises VagrantFailure."""
        done = self.try_run(*arguments, seconds=seconds)
        if done.returncode:
            raise VagrantFailure(f"vagrant {' '.join(arguments)}: {done.stdout[-3000:]}")
        return done.stdout

    def provision(self) -> str:
        """Provision all machines at once and return the output. Raises VagrantFailure."""
        outputs = on_each(lambda machine: self.run("provision", machine))
        return "".join(outputs.values())

    def ssh(self, machine: str, command: str, seconds: float = 120) -> str:
        """Run a command by `vagrant ssh` and return its standard output. Raises VagrantFailure."""
        done = self._call("vagrant", "ssh", machine, "-c", command, seconds=seconds)
        if done.returncode:
            raise VagrantFailure(f"{machine}: {command}: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def look(self, machine: str, command: str, seconds: float = 120) -> str:
        """As `ssh`, but by ssh itself, which starts at once."""
        done = self.try_look(machine, command, seconds)
        if done.returncode:
            raise VagrantFailure(f"{machine}: {command}: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def try_look(self, machine: str, command: str, seconds: float = 120) -> Result:
        """Run a command on a machine, by ssh as Vagrant configures it."""
        done = self._look(machine, command, seconds)
        if done.returncode == NO_CONNECTION:
            # a machine that was started anew may have another address
            self._configuration(machine).unlink(missing_ok=True)
            done = self._look(machine, command, seconds)
        return done

    def _look(self, machine: str, command: str, seconds: float) -> Result:
        file = self._configuration(machine)
        if not file.exists():
            done = self._call("vagrant", "ssh-config", machine, seconds=seconds)
            if done.returncode:
                return done
            file.write_text(done.stdout)
        login = f"bash -lc {shlex.quote(command)}"
        options = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
        return self._call("ssh", "-F", str(file), *options, machine, login, seconds=seconds)

    def _configuration(self, machine: str) -> Path:
        return self.home / f"ssh-config-{machine}"

    def _call(self, *command: str, seconds: float) -> Result:
        return subprocess.run(
            command,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )


def on_each(
    act: Callable[[str], AnswerT], machines: Sequence[str] = MACHINES
) -> dict[str, AnswerT]:
    """What `act` returns for each machine, called for all at the same time."""
    with ThreadPoolExecutor(len(machines)) as pool:
        return dict(zip(machines, pool.map(act, machines), strict=True))


def steps(output: str) -> list[tuple[str, str, str, float]]:
    """The steps that provisioning has reported: machine, title, outcome, seconds."""
    found = STEP.findall(output)
    return [
        (machine, title.strip(), outcome, float(took)) for machine, title, outcome, took in found
    ]
