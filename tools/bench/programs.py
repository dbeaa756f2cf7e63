"""Programs that run beside a stack for a while: rivals, and processes of ours that are measured."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.bench.environment import Stage
from tools.stack import ports
from tools.stack.errors import StackError
from tools.stack.layout import LOOPBACK
from tools.stack.waiting import wait_until

START_SECONDS, STOP_SECONDS = 60.0, 30.0


class Program:
    """A program that is measured under a name of its own, and at home in a directory."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self.home: Path = stage.stack.home / "rivals" / name
        self.home.mkdir(parents=True, exist_ok=True)
        self._stage = stage
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], **environment: str) -> None:
        """Start it; what it says goes into a file."""
        # PM2 gives its processes their names so, and by them they are found
        own = self._stage.environment(name=self.name, **environment)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=own, cwd=self.home, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        """Have it end, and wait until it has; fine if it was not started."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_SECONDS)

    def check(self) -> None:
        """Raise StackError with the end of what it said if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            last = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise StackError(f"{self.name} ended: {last}")

    @contextmanager
    def serving(self, command: Sequence[str], port: int, **environment: str) -> Iterator[str]:
        """Run it for a block, from when its port accepts connections; lends its address."""
        self.start(command, **environment)
        try:
            wait_until(lambda: self._accepts(port), START_SECONDS, f"{self.name} to listen")
            yield f"http://{LOOPBACK}:{port}"
        finally:
            self.stop()

    def _accepts(self, port: int) -> bool:
        self.check()
        return ports.accepts(port)

    @property
    def _log(self) -> Path:
        return self.home / "log"
