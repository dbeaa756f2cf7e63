"""The stack over one home directory, without anything that runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.stack.layout import CHECKOUT

PRIVATE = """
from pathlib import Path
from tools.stack.stack import Stack
variables = Stack.private(Path("home"), EVENTS_STRICT="true").variables
print(variables["RATE_LIMIT_READS"], variables["EVENTS_STRICT"])
"""


def test_a_private_stack_ignores_the_users_env_file(tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "tools", tmp_path / "tools")
    shutil.copy(CHECKOUT / ".env.example", tmp_path)
    (tmp_path / ".env").write_text("RATE_LIMIT_READS=5/minute\nGATEWAY_PORT=nothing\n")
    said = subprocess.check_output(
        [sys.executable, "-c", PRIVATE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        text=True,
    )
    assert said.split() == ["600000/minute", "true"]
