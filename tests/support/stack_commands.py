"""Commands of the services of a stack."""

import subprocess

from tools.stack.layout import CHECKOUT
from tools.stack.stack import Stack


def run(stack: Stack, *words: str) -> str:
    """Run a command of a service, as ./stack run does, and return its output."""
    done = subprocess.run(
        [stack.process_manager.environment()["PYTHON"], "-m", *words],
        cwd=CHECKOUT,
        env=stack.process_manager.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
