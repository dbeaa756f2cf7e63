"""The former names of the bills' queue, in which bills may still wait."""

import logging
import threading
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from billing.models import bill_queues
from chassis.errors import first_line
from chassis.storage.database import Database, is_outage

_RETRY_SECONDS = 2.0
logger = logging.getLogger(__name__)


def note(connection: Connection, queue: str) -> list[str]:
    """Note that `queue` is consumed from now on; return its former names."""
    connection.execute(insert(bill_queues).values(name=queue).on_conflict_do_nothing())
    names = (
        select(bill_queues.c.name).where(bill_queues.c.name != queue).order_by(bill_queues.c.name)
    )
    return list(connection.scalars(names))


def watch(
    database: Database, queue: str, found: Callable[[Sequence[str]], None], stop: threading.Event
) -> None:
    """Pass the former names of `queue` to `found` as soon as the database is available.

    Returns when `stop` is set.
    """
    while not stop.is_set():
        try:
            with database.transaction() as connection:
                former = note(connection, queue)
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("waiting for the database", extra={"reason": first_line(error)})
            stop.wait(_RETRY_SECONDS)
        else:
            found(former)
            stop.wait()
