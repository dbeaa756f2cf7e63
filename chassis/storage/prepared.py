"""Queries that each connection prepares once: neither SQLAlchemy nor PostgreSQL begins anew.

A read by primary key takes PostgreSQL less time to execute than to parse and plan, and SQLAlchemy
less time to build than to look up and wrap.

Source: PostgreSQL's manual, PREPARE.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Generic, TypeVar, cast

import psycopg2
from psycopg2.errors import FeatureNotSupported, InvalidSqlStatementName
from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.dialects.postgresql import dialect as postgresql

View = TypeVar("View", bound=Mapping[str, object])
Converter = tuple[str, Callable[[Any], Any]]
# the table's columns have changed since, or somebody has discarded what was prepared
_STALE = (FeatureNotSupported, InvalidSqlStatementName)
_numbers = count()


class PreparedQuery(Generic[View]):
    """A query of few rows, as dicts of the type `View`, a TypedDict of its columns."""

    def __init__(self, name: str, query: Select[Any]) -> None:
        """Take a query and a name for it, of letters and underscores, for PostgreSQL's views."""
        compiled = query.compile(dialect=postgresql(paramstyle="numeric_dollar"))  # type: ignore[no-untyped-call]
        self._name = name
        self._text = str(compiled)
        self._parameters: list[str] = compiled.positiontup or []
        # SQLAlchemy's names of columns are no plain strings, which JSON needs
        self._columns = [(str(column.key), column.type) for column in query.selected_columns]
        self._names = [name for name, _ in self._columns]
        self._converters: list[Converter] | None = None
        places = ", ".join(["%s"] * len(self._parameters))
        self._places = f" ({places})" if places else ""

    def rows(self, connection: Connection, **parameters: Any) -> list[View]:
        """Return all rows.

        Raises:
            sqlalchemy.exc.DBAPIError: the database refuses or fails, as with any statement.
        """
        values = [parameters[name] for name in self._parameters]
        driver: Any = connection.connection.dbapi_connection
        cursor = driver.cursor()
        try:
            found = self._fetched(driver, cursor, values)
        except psycopg2.Error as error:
            # as SQLAlchemy treats errors of its own statements: wrapped, and the connection closed
            # if it is lost
            connection._handle_dbapi_exception(error, self._text, values, cursor, None)
        cursor.close()
        return self._views(found, cursor.description, connection.dialect)

    def first(self, connection: Connection, **parameters: Any) -> View | None:
        """Return the first row; None without one."""
        return next(iter(self.rows(connection, **parameters)), None)

    def _fetched(self, driver: Any, cursor: Any, values: list[Any]) -> list[Any]:
        try:
            self._execute(driver, cursor, values)
        except _STALE:
            driver.prepared.pop(self, None)
            if not driver.autocommit:
                raise  # the transaction has failed
            self._execute(driver, cursor, values)
        found: list[Any] = cursor.fetchall()
        return found

    def _execute(self, driver: Any, cursor: Any, values: list[Any]) -> None:
        statement = driver.prepared.get(self)
        if statement is None:
            name = f"{self._name}_{next(_numbers)}"
            cursor.execute(f"PREPARE {name} AS {self._text}")
            statement = driver.prepared[self] = f"EXECUTE {name}{self._places}"
        cursor.execute(statement, values)

    def _views(self, found: list[Any], description: Any, dialect: Dialect) -> list[View]:
        if self._converters is None:
            self._converters = list(self._found_converters(description, dialect))
        views = [dict(zip(self._names, row, strict=True)) for row in found]
        for name, convert in self._converters:
            for view in views:
                view[name] = convert(view[name])
        return cast(list[View], views)

    def _found_converters(self, description: Any, dialect: Dialect) -> Iterator[Converter]:
        """Yield the columns whose values SQLAlchemy converts after the driver."""
        for (name, type_), column in zip(self._columns, description, strict=True):
            convert = type_.dialect_impl(dialect).result_processor(dialect, column[1])
            if convert is not None:
                yield name, convert
