"""The operations on customers; each change has its event."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg2.errors import DeadlockDetected, UniqueViolation
from sqlalchemy import (
    Connection,
    Delete,
    Insert,
    RowMapping,
    Update,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError

from chassis.errors import ConflictError, found
from chassis.outbox.table import PublishEvent
from chassis.preconditions import Check
from chassis.storage.database import Database
from chassis.storage.page_size import bounded
from customers.events import customer_event
from customers.models import Customer

_COLUMNS = (
    Customer.id,
    Customer.name,
    Customer.email,
    Customer.company,
    Customer.phone,
    Customer.version,
)
_LISTED = bounded(_COLUMNS, Customer.id)
_EMAIL_INDEX = "customers_email_unique"
Keep = Callable[[Connection, Mapping[str, Any]], None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Customers:
    """The customers of a database; a change and its event are committed together.

    Attributes:
        database: `customers_db`.
        announce: stores or publishes an event, in the transaction of its change.
    """

    database: Database
    announce: PublishEvent

    def find(
        self, *, email: str | None, name: str | None, after: int | None, limit: int
    ) -> Sequence[RowMapping]:
        """Return up to `limit` customers in the order of their ids, those after the id `after`.

        Those that do not fit into the page have no texts (see `bounded`).

        Args:
            email: the whole address; case does not matter.
            name: a part of the name; case does not matter, and `%` and `_` are no wildcards.
            after: the last id of the previous page.
            limit: the largest number of customers.
        """
        query = select(*_LISTED).order_by(Customer.id).limit(limit)
        if after is not None:
            query = query.where(Customer.id > after)
        if email is not None:
            query = query.where(func.lower(Customer.email) == func.lower(email))
        if name:
            query = query.where(Customer.name.icontains(name, autoescape=True))
        with self.database.autocommit() as connection:
            return connection.execute(query).mappings().all()

    def get(self, customer_id: int) -> RowMapping:
        """Return one customer.

        Raises:
            NotFoundError: there is none with this id.
        """
        query = select(*_COLUMNS).where(Customer.id == customer_id)
        with self.database.autocommit() as connection:
            customer = connection.execute(query).mappings().one_or_none()
        return found(customer, "customer", customer_id)

    def create(self, values: Mapping[str, Any], keep: Keep | None = None) -> Mapping[str, Any]:
        """Insert a customer and return it.

        Args:
            values: its columns.
            keep: stores the answer to the request, in the same transaction.

        Raises:
            ConflictError: another customer has this email.
            BrokerUnavailableError: in strict mode, the event is not confirmed.
        """
        return self._apply("customer.created", insert(Customer).values(**values), keep=keep)

    def change(
        self, customer_id: int, values: Mapping[str, Any], check: Check | None = None
    ) -> Mapping[str, Any]:
        """Change the fields in `values` of a customer that passes `check`, and return it.

        Raises:
            NotFoundError: there is none with this id.
            ConflictError: another customer has this email.
            BrokerUnavailableError: in strict mode, the event is not confirmed.
        """
        counted = {**values, "version": Customer.version + 1}
        statement = update(Customer).where(Customer.id == customer_id).values(**counted)
        return self._apply("customer.updated", statement, customer_id, check)

    def remove(self, customer_id: int, check: Check | None = None) -> Mapping[str, Any]:
        """Delete a customer that passes `check`, and return it as it was.

        Raises:
            NotFoundError: there is none with this id.
            BrokerUnavailableError: in strict mode, the event is not confirmed.
        """
        statement = delete(Customer).where(Customer.id == customer_id)
        return self._apply("customer.deleted", statement, customer_id, check)

    def _apply(
        self,
        event_type: str,
        change: Insert | Update | Delete,
        customer_id: int | None = None,
        check: Check | None = None,
        keep: Keep | None = None,
    ) -> Mapping[str, Any]:
        with self.database.transaction() as connection:
            if check is not None:
                query = select(*_COLUMNS).where(Customer.id == customer_id).with_for_update()
                current = connection.execute(query).mappings().one_or_none()
                check(found(current, "customer", customer_id))
            with _unique_email():
                changed = connection.execute(change.returning(*_COLUMNS)).mappings().one_or_none()
            customer = dict(found(changed, "customer", customer_id))
            if keep is not None:
                keep(connection, customer)
            event = customer_event(event_type, customer, _event_version(customer, change))
            # with the row locked, so that the events of one customer keep their order
            self.announce(connection, event, f"customer/{customer['id']}")
        what = event_type.replace(".", " ")
        logger.info(what, extra={"customer_id": customer["id"], "message_id": event.id})
        return customer


def _event_version(customer: Mapping[str, Any], change: Insert | Update | Delete) -> int:
    """Return the version after a change; a deletion counts as one, but leaves no row to say so."""
    version: int = customer["version"]
    return version + 1 if isinstance(change, Delete) else version


@contextmanager
def _unique_email() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if not _is_email_conflict(error.orig):
            raise
        raise ConflictError("Another customer has this email already.") from None


def _is_email_conflict(cause: BaseException | None) -> bool:
    """Return whether the email is taken; two customers that swap theirs at once deadlock."""
    if isinstance(cause, UniqueViolation):
        return cause.diag.constraint_name == _EMAIL_INDEX
    return isinstance(cause, DeadlockDetected)
