"""Programs that run beside a stack for a while: baselines, and measured processes of ours."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tools.bench.environment import Environment
from tools.stack import ports
from tools.stack.errors import StackError
from tools.stack.layout import LOOPBACK
from tools.stack.waiting import wait_until

START_SECONDS, STOP_SECONDS = 60.0, 30.0


class Program:
    """A program that is measured under its own name and runs in its own directory."""

    def __init__(self, environment: Environment, name: str) -> None:
        self.name = name
        homes = environment.stack.home / "candidates"
        homes.mkdir(exist_ok=True)
        # two programs may have one name
        self.home = Path(mkdtemp(prefix=f"{name}-", dir=homes))
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], **variables: str) -> None:
        """Start it; its output goes to a file."""
        # like PM2, which names its processes by this variable: usage finds them by it
        own = self._environment.process_variables(name=self.name, **variables)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=own, cwd=self.home, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        """Stop it and wait for its end; does nothing if it was not started."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_SECONDS)

    def check(self) -> None:
        """Raise StackError with its last line of output if it has ended."""
        if self._process is not None and self._process.poll() is not None:
            last = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise StackError(f"{self.name} ended: {last}")

    @contextmanager
    def serving(self, command: Sequence[str], port: int, **variables: str) -> Iterator[str]:
        """Run it for a block, once its port accepts connections; yields its address."""
        self.start(command, **variables)
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
