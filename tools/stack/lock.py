"""One command at a time changes what runs in a home directory."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.stack.progress import PROGRESS


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Wait until no other command changes what runs in `home`, and keep others out."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        with PROGRESS.of("waiting for another ./stack command to end"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
