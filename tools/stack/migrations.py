"""One process that migrates the databases of all services, each as soon as it is there.

`./stack up` uses it. The process is `chassis.migrate`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import IO

from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT


class Migrations:
    """Asks chassis.migrate, one service at a time; its errors are written to `errors`."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[str]) -> None:
        self._process = process
        self._errors = errors
        self._lock = Lock()

    def run(self, service: str) -> None:
        """Bring the service's database to the newest revision. Raises StackError."""
        with self._lock:
            answer = self._ask(service)
        if answer != service:
            self._process.wait()
            raise StackError(f"The migration of {service}'s database failed: {self._reason()}")

    def _ask(self, service: str) -> str:
        assert self._process.stdin and self._process.stdout
        # a process that has failed reads nothing more
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{service}\n".encode())
        return self._process.stdout.readline().decode().rstrip("\n")

    def _reason(self) -> str:
        self._errors.seek(0)
        return self._errors.read().strip().rpartition("\n")[2]


@contextmanager
def migrations(environment: Mapping[str, str]) -> Iterator[Migrations]:
    """Lend the process, which has `environment`, and end it afterwards."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "chassis.migrate"],
            cwd=CHECKOUT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            # what could not be written is not written again when the pipe is closed
            bufsize=0,
        ) as process,
    ):
        yield Migrations(process, errors)
