"""The customers API, for the replica: ask it for one customer, or make the copy equal to it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, false, func, null, select, text, true, update
from sqlalchemy.dialects.postgresql import insert

from chassis.errors import NotFoundError, UpstreamError
from chassis.http.client import ServiceClient
from chassis.schema.fields import MAX_BIGINT
from chassis.schema.validation import validated
from chassis.storage.database import Database
from orders.customer_replica.schemas import CustomerData
from orders.customer_replica.table import api_values, customers, key
from orders.mail import table as mails

_PAGE = 1000
# in strict mode an event arrives a moment before its change can be read
_MARGIN = timedelta(seconds=5)


def ask(client: ServiceClient, customer_id: str) -> CustomerData | None:
    """Return a customer as the customers API shows it, or None if it does not exist.

    Raises:
        UnavailableError: the API is unavailable.
        UpstreamError: it answers with anything but a customer.
    """
    number = key(customer_id)
    if number is None:
        return None
    try:
        answer = client.get(f"/api/customers/{number}")
    except NotFoundError:
        return None
    return _answered(answer)


def _answered(answer: Any) -> CustomerData:
    try:
        return validated(CustomerData, answer)
    except ValueError as error:
        raise UpstreamError(f"customers-api has answered with no customer: {error}.") from None


class Rebuilt(NamedTuple):
    """What a rebuild has done.

    Attributes:
        customers: how many the API has.
        deleted: how many of the copy no longer exist.
    """

    customers: int
    deleted: int


def rebuild(database: Database, client: ServiceClient) -> Rebuilt:
    """Make the copy equal to the customers API, but for what is written meanwhile.

    Each page is a transaction: a rebuild that fails has done a part of its work, and can be
    repeated.

    Raises:
        UnavailableError: the API is unavailable.
        UpstreamError: it answers with anything but customers.
    """
    with database.autocommit() as connection:
        began = connection.execute(select(func.clock_timestamp())).scalar_one()
    after, count, deleted = 0, 0, 0
    for page in chain(_pages(client), [()]):
        last = page[-1].id if page else MAX_BIGINT
        with database.transaction() as connection:
            mails.lock_to_erase(connection)
            # or a rebuild and a consumer could wait for each other's rows
            connection.execute(text("LOCK TABLE customers IN SHARE ROW EXCLUSIVE MODE"))
            deleted += _replace(connection, page, after, last, began - _MARGIN)
        after, count = last, count + len(page)
    return Rebuilt(count, deleted)


def _pages(client: ServiceClient) -> Iterator[Sequence[CustomerData]]:
    """Read all customers in the order of their ids."""
    last = 0
    for rows in client.pages("/api/customers", limit=str(_PAGE)):
        page = [_answered(row) for row in rows]
        ids = [last, *(customer.id for customer in page)]
        if sorted(set(ids)) != ids:
            raise UpstreamError("customers-api has answered with customers out of order.")
        yield page
        last = ids[-1]


def _replace(
    connection: Connection,
    page: Sequence[CustomerData],
    after: int,
    last: int,
    before: datetime,
) -> int:
    """Write a page; mark those between its ids but not in it as deleted, and return how many."""
    if page:
        rows = [api_values(item) | {"noted_at": func.now()} for item in page]
        statement = insert(customers).values(rows)
        read = statement.excluded
        changed = {name: read[name] for name in ("name", "email", "as_of", "noted_at")}
        version = func.coalesce(read.version, customers.c.version)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[customers.c.id],
                set_=changed | {"version": version, "deleted": false()},
                where=(customers.c.noted_at < before) | (customers.c.version < read.version),
            )
        )
    gone = (
        update(customers)
        .where(customers.c.id > after, customers.c.id <= last, customers.c.deleted.is_(False))
        .where(customers.c.id.not_in([customer.id for customer in page]))
        .where(customers.c.noted_at < before)
        .values(name=null(), email=null(), deleted=true(), noted_at=func.now())
    )
    deleted = connection.execute(gone.returning(customers.c.id)).scalars().all()
    mails.erase_customers(connection, deleted)
    return len(deleted)
