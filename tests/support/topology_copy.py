"""A copy of the checkout with another topology.yml."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.stack import variables
from tools.stack.layout import CHECKOUT, SERVICES

EXAMPLE = variables.parse(CHECKOUT / ".env.example")
STATUS = """
import json, sys
from gateway.settings import load
from gateway.status.document import document
from gateway.status.prober import EMPTY
json.dump(document(load().platform, EMPTY), sys.stdout)
"""


class Copy:
    """A copy of the checkout with another topology.yml."""

    def __init__(self, home: Path, text: str) -> None:
        self.home = home
        for name in ("chassis", "tools", "provisioning", *SERVICES):
            (home / name).symlink_to(CHECKOUT / name)
        # what is found from a module's own place has to be of this copy
        for name in ("chassis", "tools"):
            (home / name).unlink()
            shutil.copytree(CHECKOUT / name, home / name, ignore=shutil.ignore_patterns("*.pyc"))
        shutil.copy(CHECKOUT / ".env.example", home)
        (home / "topology.yml").write_text(text)

    def run(self, *words: str, values: Mapping[str, str] = EXAMPLE) -> str:
        """What a command of Python says, with these variables."""
        environment = {"PATH": os.environ["PATH"], **values}
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def said(self, module: str, expression: str, **values: str) -> Any:
        """What an expression of a module comes to."""
        program = f"import json, {module}; print(json.dumps({module}.{expression}))"
        return json.loads(self.run("-c", program, values=EXAMPLE | values))

    def role(self, *words: str) -> dict[str, list[str]]:
        """The arrays that provisioning reads of a role."""
        lines = self.run("-m", "provisioning.role", *words).splitlines()
        found = (re.fullmatch(r"(\w+)=\((.*)\)", line) for line in lines)
        return {match[1]: shlex.split(match[2]) for match in found if match}

    def status(self, **values: str) -> dict[str, Any]:
        """The status document of a platform of which nothing is known yet."""
        shown: dict[str, Any] = json.loads(self.run("-c", STATUS, values=EXAMPLE | values))
        return shown

    def targets(self) -> dict[tuple[str, str], str]:
        """Prometheus' targets by machine and process."""
        rows = json.loads(self.run("-m", "gateway", "targets"))
        return {tuple(row["labels"].values()): row["targets"][0] for row in rows}


def hosts_of(copy: Copy, service: str, values: Mapping[str, str]) -> list[str]:
    """Where a service calls inventory."""
    upstream = f"{service}.settings.load().inventory"
    found: list[str] = copy.said(
        f"{service}.settings", f"load() and [{upstream}.host, *{upstream}.further_hosts]", **values
    )
    return found
