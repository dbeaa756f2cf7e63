"""What delivers mails: the interface of the Maildir and of the mail server."""

from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import NamedTuple, Protocol


class DeferredError(Exception):
    """A mail can't be delivered now; try again later."""


class RefusedError(Exception):
    """A mail is refused for good."""


class OutgoingMail(NamedTuple):
    """A mail to deliver.

    Attributes:
        name: unique to the mail, the same for each attempt.
        recipient: its address.
        message: its headers and its text.
        is_repeated: whether an earlier attempt may have succeeded unnoticed.
        is_held: returns whether the sender's claim is still valid; without the database for long,
            it may have lost the mail to another.
    """

    name: str
    recipient: str
    message: EmailMessage
    is_repeated: bool
    is_held: Callable[[], bool] = lambda: True


class Transport(Protocol):
    """Delivers mails.

    Attributes:
        name: for the log.
        is_local: whether it takes no time, and so delivers while the mail's row is locked: two
            workers never deliver the same mail, even if one was paused for long.
        lease: the time after which a claim is stale unless it is renewed.
    """

    name: str
    is_local: bool
    lease: timedelta

    def deliver(self, mail: OutgoingMail) -> None:
        """Deliver a mail.

        Raises:
            DeferredError: it is not delivered, or the outcome is unknown.
            RefusedError: it is refused for good.
        """
