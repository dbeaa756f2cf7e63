"""What the deletion of a customer means here: no address, in the copy or of a mail; no mail."""

from dataclasses import replace

from sqlalchemy import Connection

from orders import directory, mails
from orders.directory import CustomerGone


def forget(connection: Connection, customer: CustomerGone, event_id: str) -> None:
    """Forget a customer in the copy, and the addresses of their mails; those that wait end."""
    _IN_COPY.act(connection, customer, event_id)
    mails.forget(connection, [customer.id])


_IN_COPY = directory.REACTIONS["customer.deleted"]
DELETION = replace(_IN_COPY, act=forget)
