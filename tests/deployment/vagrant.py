"""Vagrant, on a copy of the checkout, so that nobody's own machines are touched."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
MACHINES = ("inventory-vm", "billing-vm", "customers-vm", "gateway-vm")
COPIED = ("Vagrantfile", "requirements.lock", ".env.example", "provisioning", "chassis")
SERVICES = ("gateway", "inventory", "billing", "customers")
# how provisioning reports a step: machine, title, outcome, seconds
STEP = re.compile(r"^ +(\S+-vm):  (.{28,}?) (\S.*?) +(\d+\.\d) s$", re.MULTILINE)


class VagrantFailure(Exception):
    """A command of Vagrant's failed; the message is what it said."""


class Vagrant:
    """The project in `home`; `output` is all that Vagrant has said so far."""

    def __init__(self, home: Path, variables: Mapping[str, str]) -> None:
        self.home = home
        self.output = ""
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
        (self.home / ".env").write_text(lines + own)

    def try_run(self, *arguments: str, seconds: float = 900) -> subprocess.CompletedProcess[str]:
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
        self.output += done.stdout
        return done

    def run(self, *arguments: str, seconds: float = 900) -> str:
        """Run a command and return what it says. Raises VagrantFailure."""
        done = self.try_run(*arguments, seconds=seconds)
        if done.returncode:
            raise VagrantFailure(f"vagrant {' '.join(arguments)}: {done.stdout[-3000:]}")
        return done.stdout

    def ssh(self, machine: str, command: str, seconds: float = 120) -> str:
        """Run a command on a machine and return its standard output. Raises VagrantFailure."""
        done = self.try_ssh(machine, command, seconds)
        if done.returncode:
            raise VagrantFailure(f"{machine}: {command}: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def try_ssh(
        self, machine: str, command: str, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a machine."""
        return subprocess.run(
            ["vagrant", "ssh", machine, "-c", command],
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )


def steps(output: str) -> list[tuple[str, str, str, float]]:
    """The steps that provisioning has reported: machine, title, outcome, seconds."""
    found = STEP.findall(output)
    return [
        (machine, title.strip(), outcome, float(took)) for machine, title, outcome, took in found
    ]
