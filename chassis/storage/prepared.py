"""Statements that each connection prepares: neither SQLAlchemy nor PostgreSQL begins anew.

A read by primary key takes PostgreSQL less time to execute than to parse and plan, and SQLAlchemy
less time to build than to look up and wrap. The same holds for a change of a few rows.

Source: PostgreSQL's manual, PREPARE.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar, cast

import psycopg2
from psycopg2.errors import FeatureNotSupported, InvalidSqlStatementName
from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.dialects.postgresql import dialect as postgresql

View = TypeVar("View", bound=Mapping[str, object])
Converter = tuple[str, Callable[[Any], Any]]
# the table's columns have changed since, or somebody has discarded what was prepared
_STALE = (FeatureNotSupported, InvalidSqlStatementName)
_PARAMETER = re.compile(r"CAST\(:(?P<name>\w+) AS (?P<type>\w+(\[\])?)\)")
_PLAN_SECONDS = 10.0  # a plan is for tables of their size then; statistics may lag behind
_numbers = count()


class _Plan(NamedTuple):
    """What a connection has prepared: its name, what executes it, and since when."""

    name: str
    execute: str
    made_at: float  # by the monotonic clock


class _Prepared:
    """A statement as PREPARE takes it, with numbered parameters."""

    def __init__(self, name: str, text: str, types: str, places: str) -> None:
        self._name, self._text, self._types, self._places = name, text, types, places

    def execute(self, connection: Connection, values: Any) -> Any:
        """Execute it, and return the driver's cursor.

        Raises:
            sqlalchemy.exc.DBAPIError: the database refuses or fails, as with any statement.
        """
        driver: Any = connection.connection.dbapi_connection
        cursor = driver.cursor()
        try:
            self._try(driver, cursor, values)
        except psycopg2.Error as error:
            # as SQLAlchemy treats errors of its own statements: wrapped, and the connection closed
            # if it is lost
            connection._handle_dbapi_exception(error, self._text, values, cursor, None)
        return cursor

    def _try(self, driver: Any, cursor: Any, values: Any) -> None:
        try:
            self._execute(driver, cursor, values)
        except _STALE:
            if not driver.autocommit:
                # the transaction has failed; the next one must not fail for another statement
                driver.prepared.clear()
                raise
            driver.prepared.pop(self, None)
            self._execute(driver, cursor, values)

    def _execute(self, driver: Any, cursor: Any, values: Any) -> None:
        plan = driver.prepared.get(self)
        if plan is None or time.monotonic() > plan.made_at + _PLAN_SECONDS:
            plan = self._prepare(driver, cursor, plan)
        cursor.execute(plan.execute, values)

    def _prepare(self, driver: Any, cursor: Any, old: _Plan | None) -> _Plan:
        name = f"{self._name}_{next(_numbers)}"
        plan = _Plan(name, f"EXECUTE {name}{self._places}", time.monotonic())
        # last: no rollback would bring it back if PREPARE failed, as it does if a table is locked
        drop = f"; DEALLOCATE {old.name}" if old else ""
        cursor.execute(f"PREPARE {name}{self._types} AS {self._text}{drop}")
        driver.prepared[self] = plan
        return plan


def _listed(items: Iterable[str]) -> str:
    """Return items in parentheses; nothing for none."""
    joined = ", ".join(items)
    return f" ({joined})" if joined else ""


class PreparedStatement:
    """A statement with parameters such as `CAST(:ids AS bigint[])`."""

    def __init__(self, name: str, text: str) -> None:
        """Take a statement and a name for it, of letters and underscores, for PostgreSQL's views.

        Each parameter is written with its type wherever it occurs.
        """
        types = {found["name"]: found["type"] for found in _PARAMETER.finditer(text)}
        numbers = {name: number for number, name in enumerate(types, 1)}
        numbered = _PARAMETER.sub(lambda found: f"${numbers[found['name']]}", text)
        places = [f"%({name})s::{type}" for name, type in types.items()]
        self._prepared = _Prepared(name, numbered, _listed(types.values()), _listed(places))

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Execute it, and return the rows as tuples of its columns, none of a change without any.

        Raises:
            sqlalchemy.exc.DBAPIError: the database refuses or fails, as with any statement.
        """
        cursor = self._prepared.execute(connection, parameters)
        found: list[Any] = cursor.fetchall() if cursor.description else []
        cursor.close()
        return found


class PreparedQuery(Generic[View]):
    """A query of few rows, as dicts of the type `View`, a TypedDict of its columns."""

    def __init__(self, name: str, query: Select[Any]) -> None:
        """Take a query and a name for it, of letters and underscores, for PostgreSQL's views.

        Raises:
            ValueError: a value in it is no literal: it would be a parameter that nobody gives.
        """
        compiled = query.compile(dialect=postgresql(paramstyle="numeric_dollar"))  # type: ignore[no-untyped-call]
        if any(value is not None for value in compiled.params.values()):
            raise ValueError(f"a value in the query {name} is no literal: {compiled.params}")
        self._parameters: list[str] = compiled.positiontup or []
        places = _listed(["%s"] * len(self._parameters))
        self._prepared = _Prepared(name, str(compiled), "", places)
        # SQLAlchemy's names of columns are no plain strings, which JSON needs
        self._columns = [(str(column.key), column.type) for column in query.selected_columns]
        self._names = [name for name, _ in self._columns]
        self._converters: list[Converter] | None = None

    def rows(self, connection: Connection, **parameters: Any) -> list[View]:
        """Return all rows.

        Raises:
            sqlalchemy.exc.DBAPIError: the database refuses or fails, as with any statement.
        """
        values = tuple(parameters[name] for name in self._parameters)
        cursor = self._prepared.execute(connection, values)
        found = cursor.fetchall()
        cursor.close()
        return self._views(found, cursor.description, connection.dialect)

    def first(self, connection: Connection, **parameters: Any) -> View | None:
        """Return the first row; None without one."""
        return next(iter(self.rows(connection, **parameters)), None)

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
