"""A Maildir: each mail a file, there as a whole or not at all (https://cr.yp.to/proto/maildir.html).

A mail's file has the mail's name, so that there can't be two of it: a second attempt finds the
first one's file, in `new` or, with flags behind the name, in `cur`, where mail readers move it.
"""

import os
from datetime import timedelta
from pathlib import Path

from orders.mail.transport import DeferredError, Letter


class Maildir:
    """Delivers into a directory."""

    name = "maildir"
    is_local = True
    # the row's lock keeps others away; a claim tells them only that it is of no use to try
    lease = timedelta(seconds=5)

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def check(self) -> None:
        """Raise what is wrong if nothing can be delivered."""
        self._make()
        if not os.access(self._directory / "tmp", os.W_OK):
            raise PermissionError(f"{self._directory} can't be written")

    def deliver(self, letter: Letter) -> None:
        """Write a mail into `tmp`, move it to `new`, and see to it that a power cut keeps it.

        Raises:
            DeferredError: the file system does not do it.
        """
        try:
            self._make()
            if not self._is_there(letter):
                self._write(letter)
        except OSError as error:
            raise DeferredError(f"the Maildir does not take it: {error}") from error

    def _make(self) -> None:
        for name in ("tmp", "new", "cur"):
            (self._directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _is_there(self, letter: Letter) -> bool:
        if (self._directory / "new" / letter.name).exists():
            return True
        if not letter.is_repeated:
            return False
        with os.scandir(self._directory / "cur") as entries:
            return any(entry.name.partition(":")[0] == letter.name for entry in entries)

    def _write(self, letter: Letter) -> None:
        # always the same name: what an attempt that was cut short has left is written over
        temporary = self._directory / "tmp" / letter.name
        policy = letter.message.policy.clone(linesep="\n")
        with open(os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(letter.message.as_bytes(policy=policy))
            file.flush()
            os.fsync(file.fileno())
        new = self._directory / "new"
        temporary.rename(new / letter.name)
        _sync_directory(new)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
