"""What the customers' events change: the replica, and the mails of a deleted customer.

The orders of a deleted customer stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, null, or_, true
from sqlalchemy.dialects.postgresql import insert

from chassis.messaging.event_handler import DataT, Envelope, Reaction, ReceivedEvent
from chassis.schema.validation import validated
from orders.customer_replica.schemas import CustomerData, DeletedCustomer
from orders.customer_replica.table import customers
from orders.mail import table as mails

CUSTOMERS = "customer_events"
_DELETED = "customer.deleted"


@dataclass(frozen=True)
class _TimedReaction(Reaction[DataT]):
    """A reaction that needs the time of the event; an event without a time happens now."""

    def read(self, envelope: Envelope) -> DataT:
        """Return the event's data and its time."""
        time = {} if envelope.time is None else {"time": envelope.time}
        return validated(self.data, {**envelope.data, **time})


def _on_created(connection: Connection, customer: CustomerData, event_id: str) -> None:
    # a row that exists already is newer
    connection.execute(_inserted(customer).on_conflict_do_nothing())


def _on_updated(connection: Connection, customer: CustomerData, event_id: str) -> None:
    statement = _inserted(customer)
    names = ("name", "email", "as_of", "version", "noted_at")
    statement = statement.on_conflict_do_update(
        index_elements=[customers.c.id],
        set_={name: statement.excluded[name] for name in names},
        where=customers.c.deleted.is_(False) & _is_older(customer),
    )
    connection.execute(statement)


def _is_older(customer: CustomerData) -> ColumnElement[bool]:
    """Return whether the row is older than the event."""
    has_no_version = customers.c.version.is_(None)
    if customer.version is not None:
        return or_(has_no_version, customers.c.version < customer.version)
    return has_no_version & or_(customers.c.as_of.is_(None), customers.c.as_of < customer.time)


def _inserted(customer: CustomerData) -> Any:
    return insert(customers).values(
        id=customer.id,
        name=customer.name,
        email=customer.email,
        as_of=customer.time,
        version=customer.version,
        noted_at=func.clock_timestamp(),
    )


def _on_deleted(connection: Connection, customer: DeletedCustomer, event_id: str) -> None:
    """Empty the customer's row, then delete their addresses from the mails.

    `lock` was called before.
    """
    mark_deleted(connection, customer)
    mails.erase_customers(connection, [customer.id])


def mark_deleted(connection: Connection, customer: DeletedCustomer) -> None:
    """Keep nothing of a customer but the id; the row stays, since ids are never reused."""
    values = {
        "name": null(),
        "email": null(),
        "as_of": customer.time,
        "version": customer.version,
        "noted_at": func.clock_timestamp(),
        "deleted": true(),
    }
    statement = insert(customers).values(id=customer.id, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[customers.c.id], set_=values)
    )


REACTIONS: dict[str, Reaction[Any]] = {
    "customer.created": _TimedReaction(CUSTOMERS, CustomerData, _on_created),
    "customer.updated": _TimedReaction(CUSTOMERS, CustomerData, _on_updated),
    _DELETED: _TimedReaction(CUSTOMERS, DeletedCustomer, _on_deleted),
}
"""What orders-consumer does about the events of customers."""


def lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    """Lock what the deletions of a batch need, if it has any; call it before any other lock."""
    if any(event.type == _DELETED for event in events):
        mails.lock_to_erase(connection)
