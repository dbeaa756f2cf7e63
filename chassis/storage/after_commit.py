"""Log lines that say what a transaction has changed: they are written once it has committed."""

import logging
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import cast

from sqlalchemy import Connection

_OPTION = "after_commit"
Act = Callable[[], object]


def collect(connection: Connection) -> list[Act]:
    """Return a list that gets what is to be done after the transaction which begins."""
    acts: list[Act] = []
    connection.execution_options(**{_OPTION: acts})
    return acts


def log(
    connection: Connection,
    logger: logging.Logger,
    message: str,
    extra: Mapping[str, object],
    level: int = logging.INFO,
) -> None:
    """Log a line once the transaction has committed; never if it is rolled back.

    The line carries the trace of now. On a connection in autocommit mode it is written at once.

    Args:
        connection: of the transaction (see `Database.transaction`).
        logger: the caller's.
        message: the text of the line.
        extra: further members of the line.
        level: one of logging's.
    """
    write = partial(copy_context().run, partial(logger.log, level, message, extra=extra))
    acts = connection.get_execution_options().get(_OPTION)
    if acts is None:
        write()
    else:
        cast(list[Act], acts).append(write)
