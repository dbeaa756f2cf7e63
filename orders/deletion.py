"""What the deletion of a customer means here: no address, in the copy or of a mail; no mail."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from chassis.messaging.event_handler import ReceivedEvent
from orders.customer_replica import table as directory
from orders.customer_replica.table import CustomerGone
from orders.mail import table as mails


def forget(connection: Connection, customer: CustomerGone, event_id: str) -> None:
    """Forget a customer in the copy, and the addresses of their mails; those that wait end.

    `lock` was called before.
    """
    _IN_COPY.act(connection, customer, event_id)
    mails.forget(connection, [customer.id])


def lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    """Lock what the deletions of a batch need, if there are any: first of all locks."""
    if any(event.type == DELETED for event in events):
        mails.lock_to_forget(connection)


DELETED = "customer.deleted"
_IN_COPY = directory.REACTIONS[DELETED]
DELETION = replace(_IN_COPY, act=forget)
