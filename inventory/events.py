"""inventory's events: changes of movies and products, and of stock for orders."""

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from chassis.messaging.cloudevents import event
from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from chassis.storage import after_commit

EXCHANGE = "inventory_events"
API, CONSUMER = "inventory-api", "inventory-consumer"
logger = logging.getLogger(__name__)


def announce(
    connection: Connection,
    type: str,
    data: Mapping[str, Any],
    aggregate: str,
    source: str = API,
    **logged: object,
) -> None:
    """Put the event of a change into the outbox, in the change's transaction.

    Args:
        connection: in that transaction, which holds the aggregate's lock.
        type: the type of the event, such as `product.updated`.
        data: the data of the event.
        aggregate: what changed, such as `product/1`.
        source: the process that announces it.
        logged: further members of the log line.
    """
    outbox.add(connection, noted(connection, type, data, aggregate, source, **logged), aggregate)


def noted(
    connection: Connection,
    type: str,
    data: Mapping[str, Any],
    aggregate: str,
    source: str,
    **logged: object,
) -> Message:
    """Return the event of a change, which the caller puts into the outbox, and log it.

    The arguments are those of `announce`.
    """
    of_order = type.startswith("stock.")
    message = event(EXCHANGE, type, source, dict(data), mandatory=of_order, urgent=of_order)
    _log(connection, message, type, aggregate, **logged)
    return message


def announce_all(
    connection: Connection, type: str, changed: Mapping[str, Mapping[str, Any]]
) -> None:
    """Put the events of many changes into the outbox with one statement.

    Args:
        connection: in the transaction of the changes, which holds the aggregates' locks.
        type: the type of all events, such as `product.updated`.
        changed: the data of each event, by the name of its aggregate.
    """
    messages = [event(EXCHANGE, type, API, dict(data)) for data in changed.values()]
    outbox.add_all(connection, messages, list(changed))
    for message, aggregate in zip(messages, changed, strict=True):
        _log(connection, message, type, aggregate)


def _log(
    connection: Connection, message: Message, type: str, aggregate: str, **logged: object
) -> None:
    extra = {"aggregate": aggregate, "message_id": message.id, **logged}
    after_commit.log(connection, logger, type.replace(".", " "), extra)
