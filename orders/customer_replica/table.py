"""The customer replica: a local copy of names and addresses, so that no mail needs a call.

Three writers change it, and none of them overwrites what is newer:

- Events (`events`) are ordered by the version that the customers service gave the change. Their
  arrival says nothing, since two consumers may apply two events in either order; nor does the time,
  since a clock may be set back. An event of an earlier release has no version: it is ordered by its
  time, until one with a version has come. A deletion leaves a row with nothing but the id, which
  stays: ids are never reused.
- An answer of the customers API fills a gap (`insert_if_absent`) when a customer is not here. It
  has the version that it was read at. A row that an event has made meanwhile stays as it is; only
  an update of a later version replaces the answer.
- A rebuild (`api.rebuild`) makes the copy equal to the API, versions included. Of the rows that
  were written after it had begun to ask, it replaces only those with an older version.

An API of an earlier release answers without versions: then any later update counts.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import (
    BIGINT,
    Boolean,
    Column,
    Connection,
    DateTime,
    MetaData,
    Table,
    Text,
    false,
    func,
)
from sqlalchemy.dialects.postgresql import insert

from chassis.schema.fields import MAX_BIGINT
from chassis.storage.prepared import PreparedStatement
from orders.customer_replica.schemas import CustomerData

_CUSTOMER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)

customers = Table(
    "customers",
    MetaData(),
    Column("id", BIGINT, primary_key=True, autoincrement=False),
    Column("name", Text),
    Column("email", Text),
    Column("as_of", DateTime(timezone=True)),
    Column("version", BIGINT),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    Column("forgotten", Boolean, key="deleted", nullable=False, server_default=false()),
)
"""The customers.

`version` is the count of changes that the event or the answer of the API carries; NULL if it is of
an earlier release. `as_of` is the time of the event, by the clock of the customers service; NULL if
it was an answer. `noted_at` is when the row was written, by the clock of orders_db. `deleted` is
the column `forgotten`.
"""


class Entry(NamedTuple):
    """A customer as the copy knows them; a deleted one has neither name nor address."""

    id: int
    name: str | None
    email: str | None
    deleted: bool


_ALL = PreparedStatement(
    "customers",
    "SELECT id, name, email, forgotten FROM customers WHERE id = ANY (CAST(:ids AS bigint[]))",
)


def key(customer_id: str) -> int | None:
    """Return the key of a customer; None if `customer_id` can't be one: orders take any text."""
    number = int(customer_id) if _CUSTOMER_ID.fullmatch(customer_id) else 0
    return number if 0 < number <= MAX_BIGINT else None


def find(connection: Connection, customer_id: str) -> Entry | None:
    """Return what the copy knows of a customer; None if it has no row of them."""
    return find_all(connection, [customer_id]).get(customer_id)


def find_all(connection: Connection, customer_ids: Iterable[str]) -> dict[str, Entry]:
    """Return what the copy knows of customers, by customer id; those without a row are absent."""
    numbers = {number: id for id in set(customer_ids) if (number := key(id)) is not None}
    if not numbers:
        return {}
    entries = map(Entry._make, _ALL.execute(connection, {"ids": list(numbers)}))
    return {numbers[entry.id]: entry for entry in entries}


def email_of(connection: Connection, customer_id: str) -> str | None:
    """Return a customer's address; None if the copy has none (no other service is asked)."""
    return emails_of(connection, [customer_id]).get(customer_id)


def emails_of(connection: Connection, customer_ids: Iterable[str]) -> dict[str, str]:
    """Return the addresses of those customers of whom the copy has one, by customer id."""
    found = find_all(connection, customer_ids)
    return {id: entry.email for id, entry in found.items() if entry.email is not None}


def insert_if_absent(connection: Connection, customer: CustomerData) -> None:
    """Insert an answer of the customers API, unless there is a row, even of a deleted customer."""
    statement = insert(customers).values(**api_values(customer), noted_at=func.clock_timestamp())
    connection.execute(statement.on_conflict_do_nothing())


def api_values(customer: CustomerData) -> dict[str, Any]:
    """Return the columns of a customer that was read from the API: an answer has no time."""
    return customer.model_dump(include={"id", "name", "email", "version"})
