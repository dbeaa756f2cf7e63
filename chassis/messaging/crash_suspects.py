"""How often a process has died while it held one message alone: only then the message is blamed.

A broker raises the delivery count of every message that a dying process held. So a high count means
that one of them may be at fault, but not which one. A message with a high count is a suspect: it is
handled alone. It is marked before, and unmarked afterwards. A mark that a dead process has left
names the message that killed it.
"""

import hashlib
import logging
import time
from contextlib import suppress
from pathlib import Path

from chassis.messaging.delivery import Delivery

logger = logging.getLogger(__name__)
_FORGOTTEN_SECONDS = 7 * 24 * 3600.0


class Suspects:
    """The marks of one queue: a file for each suspect, and in it a byte for each mark.

    Files survive a killed process. Appending a byte needs no lock between two consumers.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def any(self) -> bool:
        """Return whether a message is marked, now or by a process that died in the last week."""
        found = False
        for path in self._directory.glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _FORGOTTEN_SECONDS:
                    path.unlink()
                else:
                    found = True
        return found

    def deaths(self, delivery: Delivery) -> int:
        """Return how often a process has died while it held this message alone."""
        try:
            return self._path(delivery).stat().st_size
        except FileNotFoundError:
            return 0

    def mark(self, delivery: Delivery) -> None:
        """Record that the message is held alone from now on."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path(delivery).open("ab") as file:
                file.write(b".")
        except OSError as error:
            # a full disk must not stop the queue; without a mark no message is blamed
            logger.warning("suspect can't be marked", extra={"reason": str(error)})

    def unmark(self, delivery: Delivery) -> None:
        """Remove the last mark: a death from now on is not this message's fault."""
        with suppress(FileNotFoundError), self._path(delivery).open("r+b") as file:
            size = file.seek(0, 2)
            file.truncate(max(0, size - 1))
        if self.deaths(delivery) == 0:
            self.forget(delivery)

    def forget(self, delivery: Delivery) -> None:
        """Remove all marks: the message has been applied or dead-lettered."""
        self._path(delivery).unlink(missing_ok=True)

    def _path(self, delivery: Delivery) -> Path:
        # an id may be missing, or two messages may share one
        message_id = delivery.properties.message_id or ""
        digest = hashlib.sha256(repr(message_id).encode() + b"\0" + delivery.body)
        return self._directory / digest.hexdigest()
