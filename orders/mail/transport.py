"""What a way for mails is: a Maildir, or a mail server."""

from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import NamedTuple, Protocol


class DeferredError(Exception):
    """A mail can't be delivered now; trying again later is right."""


class RefusedError(Exception):
    """A mail will never be taken."""


class Letter(NamedTuple):
    """A mail as it is delivered.

    Attributes:
        name: what it is known by, the same at each attempt.
        recipient: the address that it goes to.
        message: its headers and its text.
        is_repeated: whether an earlier attempt may have come to an end unseen.
        is_held: tells whether it is still its sender's; one that was cut off from the database for
            long may have lost it to another.
    """

    name: str
    recipient: str
    message: EmailMessage
    is_repeated: bool
    is_held: Callable[[], bool] = lambda: True


class Transport(Protocol):
    """A way for mails.

    Attributes:
        name: for the log.
        is_local: whether it takes no time, and so is used while the mail's row is locked: two
            workers then never deliver the same mail, not even if one was held up for long.
        lease: after which time a claim is stale unless it is renewed.
    """

    name: str
    is_local: bool
    lease: timedelta

    def deliver(self, letter: Letter) -> None:
        """Deliver a mail.

        Raises:
            DeferredError: it is not delivered, or that is not known.
            RefusedError: it is refused for good.
        """
