"""A Maildir: each mail is a file that appears whole (https://cr.yp.to/proto/maildir.html).

The file has the mail's name, so that there are no duplicates: a second attempt finds the file of
the first one in `new` or, with flags after the name, in `cur`, where mail readers move it.
"""

import os
from datetime import timedelta
from pathlib import Path

from orders.mail.transport import DeferredError, OutgoingMail


class Maildir:
    """Delivers into a directory."""

    name = "maildir"
    is_local = True
    # the row's lock excludes others; the claim only spares them the attempt
    lease = timedelta(seconds=5)

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def check(self) -> None:
        """Raise an OSError if nothing can be delivered."""
        self._make()
        if not os.access(self._directory / "tmp", os.W_OK):
            raise PermissionError(f"{self._directory} can't be written")

    def deliver(self, mail: OutgoingMail) -> None:
        """Write a mail into `tmp`, and move it to `new`; both are synced against a power cut.

        Raises:
            DeferredError: the file system fails.
        """
        try:
            self._make()
            if not self._exists(mail):
                self._write(mail)
        except OSError as error:
            raise DeferredError(f"the Maildir can't be written: {error}") from error

    def _make(self) -> None:
        for name in ("tmp", "new", "cur"):
            (self._directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _exists(self, mail: OutgoingMail) -> bool:
        if (self._directory / "new" / mail.name).exists():
            return True
        if not mail.is_repeated:
            return False
        with os.scandir(self._directory / "cur") as entries:
            return any(entry.name.partition(":")[0] == mail.name for entry in entries)

    def _write(self, mail: OutgoingMail) -> None:
        # always the same name: what an interrupted attempt has left is overwritten
        temporary = self._directory / "tmp" / mail.name
        policy = mail.message.policy.clone(linesep="\n")
        with open(os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(mail.message.as_bytes(policy=policy))
            file.flush()
            os.fsync(file.fileno())
        new = self._directory / "new"
        temporary.rename(new / mail.name)
        _sync_directory(new)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
