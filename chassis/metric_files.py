"""The metric files of a server's workers, which are recreated after somebody removed them.

prometheus_client maps a file into each worker. If the file is removed (by a clean-up of /tmp, by
hand), the worker counts in a file that nobody can read, and `/metrics` fails.
"""

import os
import struct
import time
from pathlib import Path
from typing import Any

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
LOOK_SECONDS = 1.0
# the number of used bytes, and padding: prometheus_client.mmap_dict
_NO_VALUES = struct.pack("ii", 8, 0)


class Worker:
    """The worker's name in its file names: with a new name, prometheus_client opens new files.

    The name is the process id, with a number behind it once the files were removed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._removals = 0
        self._next_look = 0.0
        self._name = self._name_after(0)
        self._make_file(0)
        os.register_at_fork(after_in_child=self.look)

    def __call__(self) -> str:
        """Return the name; called for each change of a metric."""
        if time.monotonic() >= self._next_look:
            self.look()
        return self._name

    def look(self) -> None:
        """Change the name if the files of the current name are missing."""
        self._next_look = time.monotonic() + LOOK_SECONDS
        if self._file(self._removals).exists():
            return
        try:
            self._make_file(self._removals + 1)
        except OSError:
            # new files are impossible now: keep counting in the removed ones
            return
        self._removals += 1
        self._name = self._name_after(self._removals)

    def _make_file(self, removals: int) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        file = self._file(removals)
        if file.exists():
            return
        # never empty: prometheus_client fails to read an empty file in any worker
        new = file.with_suffix(".new")
        new.write_bytes(_NO_VALUES)
        new.replace(file)

    def _file(self, removals: int) -> Path:
        # every process has counters, such as chassis.logs.DROPPED
        return self._directory / f"counter_{self._name_after(removals)}.db"

    @staticmethod
    def _name_after(removals: int) -> str:
        return f"{os.getpid()}-{removals}" if removals else str(os.getpid())


def process_of(file: Path) -> int:
    """Return the process id of the worker that a file belongs to."""
    return int(file.stem.rpartition("_")[2].partition("-")[0])


def install() -> None:
    """Use these files in a server's worker; must be called before any metric is created."""
    if DIRECTORY_VARIABLE not in os.environ:
        return
    # imported here, since only servers need it
    from prometheus_client import values

    worker = Worker(Path(os.environ[DIRECTORY_VARIABLE]))
    kept: Any = values.MultiProcessValue(worker)

    class Value(kept):  # type: ignore[misc]
        """A value in a file; checks first that the files exist."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            worker.look()
            super().__init__(*arguments, **options)

    values.ValueClass = Value
