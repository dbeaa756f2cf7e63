"""The statements that a test's connection sends, and how PostgreSQL executes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from chassis.storage import prepared

_CUSTOM_PLANS = 5
"""Then PostgreSQL may use a plan for any values. Source: its manual, PREPARE, "Notes"."""
Sent = tuple[str, Any]


@contextmanager
def statements_of(source: Connection | type[Engine]) -> Iterator[list[Sent]]:
    """Note each statement that is executed during the block, with its parameters.

    Args:
        source: a connection, or `Engine` for those of all databases.
    """
    sent: list[Sent] = []

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: object
    ) -> None:
        sent.append((statement, parameters))

    def note_prepared(self: Any, driver: Any, cursor: Any, values: Any) -> None:
        execute(self, driver, cursor, values)
        if not isinstance(source, Connection) or source.connection.dbapi_connection is driver:
            sent.append((driver.prepared[self].execute, values))

    execute = prepared._Prepared._execute
    event.listen(source, "before_cursor_execute", note)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prepared._Prepared, "_execute", note_prepared)
            yield sent
    finally:
        event.remove(source, "before_cursor_execute", note)


def plan_of(connection: Connection, sent: Sent) -> str:
    """How PostgreSQL executes a statement, line by line; a prepared one in the long run."""
    statement, parameters = sent
    if statement.startswith("EXECUTE "):
        for _ in range(_CUSTOM_PLANS):
            connection.exec_driver_sql(statement, parameters)
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
    return "\n".join(rows)
