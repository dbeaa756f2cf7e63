"""Rows of queries as dicts of declared types: answers and events take them as they are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Integer,
    Table,
    bindparam,
    select,
)
from sqlalchemy.sql.dml import UpdateBase

from chassis.errors import found
from chassis.preconditions import Check
from chassis.storage.page_size import bounded
from chassis.storage.prepared import PreparedQuery

View = TypeVar("View", bound=Mapping[str, object])


def rows(
    connection: Connection, query: Any, view: type[View], parameters: Any = None
) -> list[View]:
    """Return the rows of a query as dicts of the type `view`, a TypedDict of its columns."""
    return list(_views(connection.execute(query, parameters), view))


def first(
    connection: Connection, query: Any, view: type[View], parameters: Any = None
) -> View | None:
    """Return the first row of a query that has few rows, or None if it has no row."""
    return next(iter(rows(connection, query, view, parameters)), None)


@contextmanager
def streamed(
    connection: Connection, query: Any, at_once: int, view: type[View]
) -> Iterator[Iterator[View]]:
    """Lend the rows of a query, fetched `at_once` as they are read; an early end fetches no more.

    The connection must be in a transaction, which a cursor in the database needs.
    """
    with connection.execute(query, execution_options={"yield_per": at_once}) as result:
        yield _views(result, view)


def _views(result: CursorResult[Any], view: type[View]) -> Iterator[View]:
    # SQLAlchemy's names of columns are no plain strings, which JSON needs
    names = [str(name) for name in result.keys()]  # noqa: SIM118
    return (cast(View, dict(zip(names, row, strict=True))) for row in result)


class Resource(Generic[View]):
    """The rows of a table that an API shows by their `id`.

    Its statements are built once: building one takes as long as executing it.
    """

    def __init__(self, name: str, table: Table, view: type[View]) -> None:
        """Take what a row is, such as `movie`, its table, and the columns that are shown."""
        self._name, self._table, self._view = name, table, view
        self.columns = tuple(table.c[column] for column in view.__annotations__)
        self._list = select(*bounded(self.columns, table.c.id)).order_by(table.c.id)
        limit, after = bindparam("limit", type_=Integer), bindparam("after", type_=table.c.id.type)
        first = self._list.limit(limit)
        self._first: PreparedQuery[View] = PreparedQuery(f"{name}_list", first)
        self._next: PreparedQuery[View] = PreparedQuery(
            f"{name}_list_after", first.where(table.c.id > after)
        )
        self._one = select(*self.columns).where(table.c.id == bindparam("id"))
        self._get: PreparedQuery[View] = PreparedQuery(f"{name}_by_id", self._one)

    def find(
        self,
        connection: Connection,
        after: int | None,
        limit: int,
        criteria: Sequence[ColumnElement[bool]] = (),
    ) -> list[View]:
        """Return up to `limit` rows after the id `after`, in the order of their ids.

        Rows that no longer fit into a page have no texts (see `bounded`). A list that `criteria`
        narrow is planned each time: the best plan depends on their values.
        """
        if criteria:
            query = self._list.where(*criteria).limit(limit)
            query = query if after is None else query.where(self._table.c.id > after)
            return rows(connection, query, self._view)
        if after is None:
            return self._first.rows(connection, limit=limit)
        return self._next.rows(connection, after=after, limit=limit)

    def get(self, connection: Connection, id: int) -> View:
        """Return the row with this id. Raises NotFoundError."""
        return found(self._get.first(connection, id=id), self._name, id)

    def locked(self, connection: Connection, id: int, *, key_share: bool = False) -> View:
        """Return one row as `get` does, and lock it; with `key_share` others may refer to it."""
        query = self._one.with_for_update(key_share=key_share)
        return found(first(connection, query, self._view, {"id": id}), self._name, id)

    def check(
        self, connection: Connection, id: int, check: Check | None, *, key_share: bool = False
    ) -> None:
        """Lock a row and check it, if there is a check."""
        if check is not None:
            check(self.locked(connection, id, key_share=key_share))

    def apply(self, connection: Connection, change: UpdateBase, id: int | None = None) -> View:
        """Execute a change of one row and return the row; of a deleted one, as it was.

        Raises:
            NotFoundError: no row has changed; `id` is the one that the message names.
        """
        changed = first(connection, change.returning(*self.columns), self._view)
        return found(changed, self._name, id)
