"""Runs schemathesis, which generates requests from openapi.yaml and checks every answer."""

import os
import subprocess
import sys
from pathlib import Path

from tools.stack.layout import CHECKOUT
from tools.stack.stack import Stack

PROGRAM = Path(sys.executable).with_name("schemathesis")
SECONDS = 3600


def run(stack: Stack, *words: str) -> None:
    """Test the gateway of a stack with these options; fail on any finding."""
    command = [str(PROGRAM), "run", "openapi.yaml", "--url", stack.url, "--checks", "all"]
    environment = os.environ | {"API_TOKEN": stack.variables["API_TOKEN"]}
    done = subprocess.run(
        [*command, "--no-color", *words],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
