"""The directory: a local copy of the customers' names and addresses, so that no mail needs a call.

Three things write it, and none of them undoes what is newer:

- Events, told apart by the version that the customers service gave the change, and not by their
  arrival, since two consumers may apply two events in either order; nor by the time, since a clock
  may be set back. An event of an earlier release has no version: it counts by its time, and only
  until one with a version has come. A deletion is kept as a row that knows nothing but the id, and
  stays: ids are never given twice.
- An answer of the customers API, asked for a customer who is not here. It has the version that it
  was read at, and fills a gap and nothing else: a row that an event has made meanwhile stays as it
  is. Only an update of a later version counts after it.
- `directory_api.rebuild`, which makes the copy equal to the API, versions included. Of the rows
  that were written after it had begun to ask, it replaces those alone that have an older version.

An API of an earlier release answers without versions: then any update counts that comes later.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any, NamedTuple

import click
from pydantic import Field
from sqlalchemy import (
    BIGINT,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    MetaData,
    Table,
    Text,
    false,
    func,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert

from chassis.cli import echo
from chassis.errors import UnavailableError, UpstreamError
from chassis.http.client import ServiceClient
from chassis.messaging.event_handler import DataT, Envelope, EventData, Reaction
from chassis.schema.fields import MAX_BIGINT, NO_NUL, BigInt
from chassis.schema.timestamps import Moment
from chassis.schema.validation import validated
from chassis.settings import read_upstream
from chassis.storage.database import Database

_CUSTOMER_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_Text = Annotated[str, NO_NUL]

customers = Table(
    "customers",
    MetaData(),
    Column("id", BIGINT, primary_key=True, autoincrement=False),
    Column("name", Text),
    Column("email", Text),
    Column("as_of", DateTime(timezone=True)),
    Column("version", BIGINT),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    Column("forgotten", Boolean, nullable=False, server_default=false()),
)
"""Who the customers are.

`version` is the count of changes that the event or the answer of the API carries which says so;
NULL if it is of an earlier release. `as_of` is the time of the event, by the clock of the
customers service; NULL if it was an answer. `noted_at` is when the row was written, by the clock of
orders_db.
"""


class Entry(NamedTuple):
    """A customer as the copy knows them; of a deleted one neither name nor address."""

    id: int
    name: str | None
    email: str | None
    forgotten: bool


def _now() -> datetime:
    return datetime.now(timezone.utc)


class CustomerGone(EventData):
    """What is read of customer.deleted."""

    id: BigInt
    time: Moment = Field(default_factory=_now)
    version: BigInt | None = None

    @property
    def aggregate(self) -> int:
        """The customer."""
        return self.id


class CustomerData(CustomerGone):
    """What is read of customer.created and customer.updated, and of the API's answers."""

    name: _Text
    email: _Text


@dataclass(frozen=True)
class _Dated(Reaction[DataT]):
    """A reaction to which it matters when the event happened; an undated one happens now."""

    def read(self, envelope: Envelope) -> DataT:
        """Return the event's data, and its time."""
        time = {} if envelope.time is None else {"time": envelope.time}
        return validated(self.data, {**envelope.data, **time})


def key(customer_id: str) -> int | None:
    """Return the key of a customer; None if `customer_id` can't be one: orders take any text."""
    number = int(customer_id) if _CUSTOMER_ID.fullmatch(customer_id) else 0
    return number if 0 < number <= MAX_BIGINT else None


def find(connection: Connection, customer_id: str) -> Entry | None:
    """Return what the copy knows of a customer; None if it has never heard of them."""
    number = key(customer_id)
    if number is None:
        return None
    columns = (customers.c.id, customers.c.name, customers.c.email, customers.c.forgotten)
    row = connection.execute(select(*columns).where(customers.c.id == number)).one_or_none()
    return Entry(*row) if row else None


def email_of(connection: Connection, customer_id: str) -> str | None:
    """Return a customer's address; None if the copy has none (no other service is asked)."""
    entry = find(connection, customer_id)
    return entry.email if entry else None


def learn(connection: Connection, customer: CustomerData) -> None:
    """Note an answer of the customers API, unless there is a row, be it of a deleted customer."""
    statement = insert(customers).values(**read_values(customer), noted_at=func.clock_timestamp())
    connection.execute(statement.on_conflict_do_nothing())


def read_values(customer: CustomerData) -> dict[str, Any]:
    """Return what a row says of a customer that was read from the API: it has no time."""
    return customer.model_dump(include={"id", "name", "email", "version"})


def _created(connection: Connection, customer: CustomerData, event_id: str) -> None:
    # whatever is there already is newer
    connection.execute(_noted(customer).on_conflict_do_nothing())


def _updated(connection: Connection, customer: CustomerData, event_id: str) -> None:
    statement = _noted(customer)
    names = ("name", "email", "as_of", "version", "noted_at")
    statement = statement.on_conflict_do_update(
        index_elements=[customers.c.id],
        set_={name: statement.excluded[name] for name in names},
        where=customers.c.forgotten.is_(False) & _is_older(customer),
    )
    connection.execute(statement)


def _is_older(customer: CustomerData) -> ColumnElement[bool]:
    """Tell whether what is there is older than an event."""
    has_no_version = customers.c.version.is_(None)
    if customer.version is not None:
        return or_(has_no_version, customers.c.version < customer.version)
    return has_no_version & or_(customers.c.as_of.is_(None), customers.c.as_of < customer.time)


def _noted(customer: CustomerData) -> Any:
    return insert(customers).values(
        id=customer.id,
        name=customer.name,
        email=customer.email,
        as_of=customer.time,
        version=customer.version,
        noted_at=func.clock_timestamp(),
    )


def _deleted(connection: Connection, customer: CustomerGone, event_id: str) -> None:
    nothing = {
        "name": null(),
        "email": null(),
        "as_of": customer.time,
        "version": customer.version,
        "noted_at": func.clock_timestamp(),
        "forgotten": true(),
    }
    statement = insert(customers).values(id=customer.id, **nothing)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[customers.c.id], set_=nothing)
    )


REACTIONS: dict[str, Reaction[Any]] = {
    "customer.created": _Dated(CustomerData, _created),
    "customer.updated": _Dated(CustomerData, _updated),
    "customer.deleted": _Dated(CustomerGone, _deleted),
}
"""What orders-consumer does about the events of customers."""


@click.group()
def directory() -> None:
    """The local copy of the customers."""


@directory.command("rebuild")
def rebuild_command() -> None:
    """Make the copy equal to the customers API, without losing what it is told meanwhile."""
    from orders.customer_replica.api import rebuild
    from orders.settings import load

    database = Database(load().database, connections=1)
    try:
        done = rebuild(database, ServiceClient(read_upstream("customers")))
    except (UnavailableError, UpstreamError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.close()
    echo(f"{done.customers} customers; {done.forgotten} forgotten, who are gone")
