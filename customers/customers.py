"""Customers: what can be done with them, each change with its event."""

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
from sqlalchemy.exc import DBAPIError, NoResultFound

from chassis.errors import ConflictError, NotFoundError
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
    """The customers of a database; a change and its event count together or not at all.

    Attributes:
        database: `customers_db`.
        announce: makes an event safe, in the transaction of its change.
    """

    database: Database
    announce: PublishEvent

    def find(
        self, *, email: str | None, name: str | None, after: int | None, limit: int
    ) -> Sequence[RowMapping]:
        """Return up to `limit` customers in the order of their ids, those after the id `after`.

        Those that no longer fit into a page have no texts (see `bounded`).

        Args:
            email: the whole address, in any case.
            name: a part of the name, in any case; `%` and `_` mean themselves.
            after: the last id of the page before.
            limit: at most so many.
        """
        query = select(*_LISTED).order_by(Customer.id).limit(limit)
        if after is not None:
            query = query.where(Customer.id > after)
        if email is not None:
            query = query.where(func.lower(Customer.email) == func.lower(email))
        if name:
            query = query.where(Customer.name.icontains(name, autoescape=True))
        with self.database.read() as connection:
            return connection.execute(query).mappings().all()

    def get(self, customer_id: int) -> RowMapping:
        """Return one customer.

        Raises:
            NotFoundError: there is none with this id.
        """
        query = select(*_COLUMNS).where(Customer.id == customer_id)
        with _existing(customer_id), self.database.read() as connection:
            return connection.execute(query).mappings().one()

    def create(self, values: Mapping[str, Any], keep: Keep | None = None) -> Mapping[str, Any]:
        """Insert a customer and return it.

        Args:
            values: its columns.
            keep: keeps the answer to a request in the transaction of the customer.

        Raises:
            ConflictError: another customer has this email.
            BrokerUnavailableError: in strict mode, the event is not confirmed.
        """
        return self._apply("customer.created", insert(Customer).values(**values), keep=keep)

    def change(
        self, customer_id: int, values: Mapping[str, Any], check: Check | None = None
    ) -> Mapping[str, Any]:
        """Change what `values` name of a customer that passes `check`, and return it.

        Raises:
            NotFoundError: there is none with this id.
            ConflictError: another customer has this email.
            BrokerUnavailableError: in strict mode, the event is not confirmed.
        """
        counted = {**values, "version": Customer.version + 1}
        statement = update(Customer).where(Customer.id == customer_id).values(**counted)
        with _existing(customer_id):
            return self._apply("customer.updated", statement, customer_id, check)

    def remove(self, customer_id: int, check: Check | None = None) -> Mapping[str, Any]:
        """Delete a customer that passes `check`, and return what it was.

        Raises:
            NotFoundError: there is none with this id.
            BrokerUnavailableError: in strict mode, the event is not confirmed.
        """
        statement = delete(Customer).where(Customer.id == customer_id)
        with _existing(customer_id):
            return self._apply("customer.deleted", statement, customer_id, check)

    def _apply(
        self,
        event_type: str,
        change: Insert | Update | Delete,
        customer_id: int | None = None,
        check: Check | None = None,
        keep: Keep | None = None,
    ) -> Mapping[str, Any]:
        with self.database.unit_of_work() as connection:
            if check is not None:
                query = select(*_COLUMNS).where(Customer.id == customer_id).with_for_update()
                check(connection.execute(query).mappings().one())
            with _unique_email():
                changed = connection.execute(change.returning(*_COLUMNS))
                customer = dict(changed.mappings().one())
            if keep is not None:
                keep(connection, customer)
            event = customer_event(event_type, customer, _told_version(customer, change))
            # now that the row is locked, so that the events of one customer keep their order
            self.announce(connection, event, f"customer/{customer['id']}")
            connection.commit()
        what = event_type.replace(".", " ")
        logger.info(what, extra={"customer_id": customer["id"], "message_id": event.id})
        return customer


def _told_version(customer: Mapping[str, Any], change: Insert | Update | Delete) -> int:
    """Return the version that a change makes: a deletion counts, too, and has no row to say so."""
    version: int = customer["version"]
    return version + 1 if isinstance(change, Delete) else version


@contextmanager
def _existing(customer_id: int) -> Iterator[None]:
    try:
        yield
    except NoResultFound:
        raise NotFoundError(f"There is no customer with the id {customer_id}.") from None


@contextmanager
def _unique_email() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if not _says_taken(error.orig):
            raise
        raise ConflictError("Another customer has this email already.") from None


def _says_taken(cause: BaseException | None) -> bool:
    """Tell whether the email is another's; a deadlock says so too: each wants the other's."""
    if isinstance(cause, UniqueViolation):
        return cause.diag.constraint_name == _EMAIL_INDEX
    return isinstance(cause, DeadlockDetected)
