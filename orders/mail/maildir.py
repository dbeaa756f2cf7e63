"""A Maildir: each mail is a file that appears whole (https://cr.yp.to/proto/maildir.html).

The file has the mail's name, so that there are no duplicates: a second attempt finds the file of
the first one in `new` or, with flags after the name, in `cur`, where mail readers move it.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Literal

from orders.mail.transport import DeferredError, OutgoingMail


class Maildir:
    """Delivers into a directory."""

    name = "maildir"
    is_local: Literal[True] = True
    # the row's lock excludes others; the claim only spares them the attempt
    lease = timedelta(seconds=5)

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def check(self) -> None:
        """Raise an OSError if nothing can be delivered."""
        self._make()
        if not os.access(self._directory / "tmp", os.W_OK):
            raise PermissionError(f"{self._directory} can't be written")

    def deliver_all(self, mails: Sequence[OutgoingMail]) -> None:
        """Write mails into `tmp`, and move them to `new`; both are synced against a power cut.

        Raises:
            DeferredError: the file system fails; some of the mails may be delivered.
        """
        try:
            self._make()
            there = self._names(mails)
            self._write([mail for mail in mails if mail.name not in there])
        except OSError as error:
            raise DeferredError(f"the Maildir can't be written: {error}") from error

    def _make(self) -> None:
        for name in ("tmp", "new", "cur"):
            (self._directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _names(self, mails: Sequence[OutgoingMail]) -> set[str]:
        """Return the names of those mails that are delivered already."""
        names = {mail.name for mail in mails if (self._directory / "new" / mail.name).exists()}
        if any(mail.is_repeated for mail in mails):
            with os.scandir(self._directory / "cur") as entries:
                names |= {entry.name.partition(":")[0] for entry in entries}
        return names

    def _write(self, mails: Sequence[OutgoingMail]) -> None:
        temporary, new = self._directory / "tmp", self._directory / "new"
        with ExitStack() as stack:
            # all are written before the first is synced: the file system syncs them together
            files = [stack.enter_context(_written(temporary / m.name, m.content)) for m in mails]
            for file in files:
                os.fsync(file.fileno())
        for mail in mails:
            (temporary / mail.name).rename(new / mail.name)
        # also if nothing was written: an earlier attempt may have failed here
        _sync_directory(new)


def _written(path: Path, content: bytes) -> BinaryIO:
    # always the same name: what an interrupted attempt has left is overwritten
    file = open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb")  # noqa: SIM115
    try:
        file.write(content.replace(b"\r\n", b"\n"))
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
