"""Runs wrk, which keeps a number of requests in flight, and reads its result.

Source: https://github.com/wg/wrk/blob/master/SCRIPTING
"""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench.figures import Sample
from tools.stack.errors import StackError

SCRIPT = Path(__file__).with_name("wrk.lua")
MARK = "BENCH "
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class Request:
    """A request that wrk sends repeatedly.

    Attributes:
        path: with query; `{n}` stands for a number from 1 to `ids`.
        body: JSON for a POST; `{u}` stands for a unique text. None for a GET.
        token: for the header Authorization.
        ids: the largest `{n}`.
        pause: seconds between an answer and the next request of the same connection.
    """

    path: str
    body: str | None = None
    token: str | None = None
    ids: int = 1
    pause: float = 0

    def variables(self) -> dict[str, str]:
        """The variables that wrk.lua reads; other users could see a token in a command line."""
        given = {
            "BENCH_METHOD": "GET" if self.body is None else "POST",
            "BENCH_PATH": self.path,
            "BENCH_BODY": self.body,
            "BENCH_TOKEN": self.token,
            "BENCH_IDS": str(self.ids),
            "BENCH_PAUSE": str(round(self.pause * 1000)),
            "BENCH_RUN": uuid.uuid4().hex[:12],
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Answers:
    """The result of a run of wrk: its time in seconds, those of requests in milliseconds."""

    seconds: float
    requests: int
    refused: int
    broken: int
    p50: float
    p99: float
    longest: float

    @property
    def accepted(self) -> int:
        """How many answers had a status below 400."""
        return self.requests - self.refused

    def sample(self, done: float | None = None) -> Sample:
        """The result as a sample; refused requests do not count for the rate."""
        failed = self.refused + self.broken
        rate = self.accepted / self.seconds
        return Sample(rate, self.p50, self.p99, self.longest, failed, done, units=self.accepted)


def load(address: str, request: Request, clients: int, seconds: float) -> Answers:
    """Send requests over `clients` connections for a number of seconds.

    Raises StackError if wrk fails.
    """
    own = process_variables(request)
    done = subprocess.run(
        command(address, clients, seconds), env=own, capture_output=True, text=True
    )
    if done.returncode:
        raise StackError(f"wrk failed: {(done.stderr or done.stdout).strip()}")
    return parse(done.stdout)


@contextmanager
def beside(address: str, request: Request, clients: int) -> Iterator[None]:
    """Send requests over `clients` connections during a block, and ignore the answers.

    Raises StackError if wrk has ended before the block.
    """
    process = subprocess.Popen(
        command(address, clients, LONGEST_SECONDS),
        env=process_variables(request),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
        if process.poll() is not None:
            raise StackError(f"wrk ended early, with status {process.returncode}.")
    finally:
        process.kill()
        process.wait()


def process_variables(request: Request) -> dict[str, str]:
    """The variables of wrk."""
    return {"PATH": os.environ["PATH"], **request.variables()}


def command(address: str, clients: int, seconds: float) -> list[str]:
    """wrk's command line; wrk takes whole seconds only."""
    duration = f"-d{max(round(seconds), 1)}s"
    return ["wrk", "-t1", f"-c{clients}", duration, "--timeout=10s", f"-s{SCRIPT}", address]


def parse(output: str) -> Answers:
    """Read the line that wrk.lua writes.

    Raises StackError if there is none.
    """
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    if not lines:
        raise StackError(f"wrk printed no result: {output.strip()[-200:]}")
    return Answers(**json.loads(lines[-1].removeprefix(MARK)))
