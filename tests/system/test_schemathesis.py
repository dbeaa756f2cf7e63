"""schemathesis finds nothing: it makes requests from openapi.yaml and looks at every answer.

By hand, against a stack that runs and as long as you like, see schemathesis.toml.
"""

import os
import subprocess
import sys
from pathlib import Path

from tools.stack.layout import CHECKOUT
from tools.stack.stack import Stack

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# the same requests each time, and few enough for a suite that runs often
WORDS = ("--checks", "all", "--max-examples", "5", "--seed", "1", "--no-color")


def test_schemathesis_finds_nothing(stack: Stack) -> None:
    command = [str(SCHEMATHESIS), "run", "openapi.yaml", "--url", stack.url, *WORDS]
    environment = os.environ | {"API_TOKEN": stack.variables["API_TOKEN"]}
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
