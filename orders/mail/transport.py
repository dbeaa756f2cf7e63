"""What delivers mails: the interface of the Maildir and of the mail server."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple, Protocol


class DeferredError(Exception):
    """A mail can't be delivered now; try again later."""


class RefusedError(Exception):
    """A mail is refused for good."""


class OutgoingMail(NamedTuple):
    """A mail to deliver.

    Attributes:
        name: unique to the mail, the same for each attempt.
        recipient: its address.
        content: its headers and its text, in lines that end with CRLF.
        is_repeated: whether an earlier attempt may have succeeded unnoticed.
        is_held: returns whether the sender's claim is still valid; without the database for long,
            it may have lost the mail to another.
    """

    name: str
    recipient: str
    content: bytes
    is_repeated: bool
    is_held: Callable[[], bool] = lambda: True


class LocalTransport(Protocol):
    """Delivers mails in no time, while their rows are locked.

    Two workers never deliver the same mail, even if one was paused for long.

    Attributes:
        name: for the log.
        is_local: what tells the two kinds of transport apart.
        lease: the time after which a claim is stale unless it is renewed.
    """

    name: str
    is_local: Literal[True]
    lease: timedelta

    def deliver_all(self, mails: Sequence[OutgoingMail]) -> None:
        """Deliver mails; those that an earlier attempt has delivered are left as they are.

        Raises:
            DeferredError: some are not delivered.
        """


class RemoteTransport(Protocol):
    """Delivers mails over the network. Attributes: as a `LocalTransport`'s."""

    name: str
    is_local: Literal[False]
    lease: timedelta

    def deliver(self, mail: OutgoingMail) -> None:
        """Deliver a mail.

        Raises:
            DeferredError: it is not delivered, or the outcome is unknown.
            RefusedError: it is refused for good.
        """


Transport = LocalTransport | RemoteTransport
