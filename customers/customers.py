"""The operations on customers; each change has its event."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict

from psycopg2.errors import DeadlockDetected, UniqueViolation
from sqlalchemy import ColumnElement, Connection, delete, func, insert, update
from sqlalchemy.exc import DBAPIError

from chassis.errors import ConflictError
from chassis.outbox.table import PublishEvent
from chassis.preconditions import Check
from chassis.storage import after_commit
from chassis.storage.rows import Resource
from customers.events import customer_event
from customers.models import customers


class Customer(TypedDict):
    """A customer, as the API shows it."""

    id: int
    name: str
    email: str
    company: str | None
    phone: str | None
    version: int


_customers = Resource("customer", customers, Customer)
_EMAIL_INDEX = "customers_email_unique"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Customers:
    """The customers of a database; each change announces its event in the same transaction.

    Attributes:
        announce: stores or publishes an event, in the transaction of its change.
    """

    announce: PublishEvent
    get = staticmethod(_customers.get)

    @staticmethod
    def find(
        connection: Connection,
        *,
        email: str | None,
        name: str | None,
        after: int | None,
        limit: int,
    ) -> list[Customer]:
        """Return up to `limit` customers in the order of their ids, those after the id `after`.

        Those that do not fit into the page have no texts (see `bounded`).

        Args:
            connection: to `customers_db`.
            email: the whole address; case does not matter.
            name: a part of the name; case does not matter, and `%` and `_` are no wildcards.
            after: the last id of the previous page.
            limit: the largest number of customers.
        """
        criteria: list[ColumnElement[bool]] = []
        if email is not None:
            criteria.append(func.lower(customers.c.email) == func.lower(email))
        if name:
            criteria.append(customers.c.name.icontains(name, autoescape=True))
        return _customers.find(connection, after, limit, criteria)

    def create(
        self,
        connection: Connection,
        values: Mapping[str, Any],
        store_answer: Callable[[Customer], None],
    ) -> Customer:
        """Insert a customer and return it.

        Args:
            connection: in a transaction.
            values: its columns.
            store_answer: stores the answer to the request; the event is announced after it.

        Raises:
            ConflictError: another customer has this email.
            BrokerUnavailableError: in strict mode, the event is not confirmed.
        """
        with _unique_email():
            customer = _customers.apply(connection, insert(customers).values(**values))
        store_answer(customer)
        self._announce(connection, "customer.created", customer, customer["version"])
        return customer

    def change(
        self,
        connection: Connection,
        customer_id: int,
        values: Mapping[str, Any],
        check: Check | None = None,
    ) -> Customer:
        """Change the fields in `values` of a customer that passes `check`, and return it.

        Raises:
            NotFoundError: no customer has this id.
            ConflictError: another customer has this email.
            BrokerUnavailableError: in strict mode, the event is not confirmed.
        """
        _customers.check(connection, customer_id, check)
        counted = {**values, "version": customers.c.version + 1}
        statement = update(customers).where(customers.c.id == customer_id).values(**counted)
        with _unique_email():
            customer = _customers.apply(connection, statement, customer_id)
        self._announce(connection, "customer.updated", customer, customer["version"])
        return customer

    def remove(
        self, connection: Connection, customer_id: int, check: Check | None = None
    ) -> Customer:
        """Delete a customer that passes `check`, and return it as it was.

        Raises:
            NotFoundError: no customer has this id.
            BrokerUnavailableError: in strict mode, the event is not confirmed.
        """
        _customers.check(connection, customer_id, check)
        statement = delete(customers).where(customers.c.id == customer_id)
        customer = _customers.apply(connection, statement, customer_id)
        # a deletion counts as a change, but leaves no row to say so
        self._announce(connection, "customer.deleted", customer, customer["version"] + 1)
        return customer

    def _announce(
        self, connection: Connection, event_type: str, customer: Customer, version: int
    ) -> None:
        event = customer_event(event_type, customer, version)
        # with the row locked, so that the events of one customer keep their order
        self.announce(connection, event, f"customer/{customer['id']}")
        extra = {"customer_id": customer["id"], "message_id": event.id}
        after_commit.log(connection, logger, event_type.replace(".", " "), extra)


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
