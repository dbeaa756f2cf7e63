"""How often a process has died with one message alone in hand: the only death to blame on it.

A broker counts a delivery for every message that a dying process held, so its count says that one
of them may be at fault, and not which. A message that was delivered often is a suspect: it is
handled alone, and this is noted before and struck out after. The note that a process leaves behind
names the message that it died of.
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
    """The notes of one queue: a file for each suspect, a byte in it for each time it was taken.

    Files survive a process that is killed; appending a byte needs no lock between two consumers.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def any(self) -> bool:
        """Tell whether a message is noted, now or by a process that has died in the last week."""
        found = False
        for path in self._directory.glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _FORGOTTEN_SECONDS:
                    path.unlink()
                else:
                    found = True
        return found

    def deaths(self, delivery: Delivery) -> int:
        """Return how often a process has taken this message alone, and died."""
        try:
            return self._path(delivery).stat().st_size
        except FileNotFoundError:
            return 0

    def take(self, delivery: Delivery) -> None:
        """Note that the message is alone in hand from now on."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path(delivery).open("ab") as file:
                file.write(b".")
        except OSError as error:
            # a full disk must not stop the queue; without a note nothing is blamed
            logger.warning("a suspect can't be noted", extra={"reason": str(error)})

    def put_down(self, delivery: Delivery) -> None:
        """Strike out the last note: who dies now does not die of this message."""
        with suppress(FileNotFoundError), self._path(delivery).open("r+b") as file:
            size = file.seek(0, 2)
            file.truncate(max(0, size - 1))
        if self.deaths(delivery) == 0:
            self.forget(delivery)

    def forget(self, delivery: Delivery) -> None:
        """Strike out all notes: the message has been handled, or put aside."""
        self._path(delivery).unlink(missing_ok=True)

    def _path(self, delivery: Delivery) -> Path:
        # an id may be missing, or be given to two messages
        message_id = delivery.properties.message_id or ""
        digest = hashlib.sha256(repr(message_id).encode() + b"\0" + delivery.body)
        return self._directory / digest.hexdigest()
