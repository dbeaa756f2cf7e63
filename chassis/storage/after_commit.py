"""What follows a commit, and never a rollback: log lines that say what has changed, and NOTIFY."""

import logging
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection, text

_OPTION = "after_commit"
Act = Callable[[], object]


@dataclass(frozen=True)
class Noted:
    """What a transaction has noted: acts, and channels whose listeners are to be woken."""

    acts: list[Act] = field(default_factory=list)
    channels: set[str] = field(default_factory=set)


def collect(connection: Connection) -> Noted:
    """Begin to collect what follows the commit of a transaction; return the collection."""
    noted = Noted()
    connection.execution_options(**{_OPTION: noted})
    return noted


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
    noted = _noted(connection)
    if noted is None:
        write()
    else:
        noted.acts.append(write)


def notify(connection: Connection, channel: str) -> None:
    """Wake the listeners of a channel once the transaction has committed.

    A transaction that itself notifies holds a lock of the whole server until its commit is on disk:
    no two of them commit together. See chassis.storage.notifier.
    """
    noted = _noted(connection)
    if noted is None:
        connection.execute(text(f"NOTIFY {channel}"))
    else:
        noted.channels.add(channel)


def _noted(connection: Connection) -> Noted | None:
    noted = connection.get_execution_options().get(_OPTION)
    return noted if isinstance(noted, Noted) else None
