"""A shell that runs the steps of a document in turn, as a reader's does."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

END = "end of the step of the tests"


class Done(NamedTuple):
    """The output of a step, errors included, and its exit status."""

    lines: list[str]
    status: int


class Shell:
    """One bash in a directory; later steps see what earlier ones define."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=home,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, seconds: float) -> Done:
        """Run a step. Raises TimeoutError if it takes longer, and ends the shell."""
        assert self._process.stdin and self._process.stdout
        # a step must not read what follows it
        self._process.stdin.write(f"{{ {command}\n}} </dev/null; printf '\\n{END} %d\\n' $?\n")
        self._process.stdin.flush()
        timer = threading.Timer(seconds, self._kill)
        timer.start()
        text = ""
        try:
            for line in self._process.stdout:
                if end := re.fullmatch(rf"{END} (\d+)\n", line):
                    return Done(text.removesuffix("\n").splitlines(), int(end[1]))
                text += line
        finally:
            timer.cancel()
        raise TimeoutError(f"{command}\ndid not end within {seconds} s, and said:\n{text}")

    def close(self) -> None:
        """End the shell and what it runs."""
        self._kill()
        self._process.communicate()

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
