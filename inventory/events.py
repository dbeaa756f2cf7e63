"""What inventory tells whoever listens: movies and products that change, stock for orders."""

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from chassis import outbox
from chassis.broker import Exchange
from chassis.events import event

EXCHANGE = Exchange("inventory_events", "topic")
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
    """Put the event that tells of a change into the outbox, in the change's transaction.

    Args:
        connection: in that transaction, which holds the aggregate's lock.
        type: what happened, such as `product.updated`.
        data: what there is to say about it.
        aggregate: what it happened to, such as `product/1`.
        source: the process that says so.
        logged: what the log shall say besides.
    """
    message = event(EXCHANGE.name, type, source, dict(data))
    outbox.add(connection, message, aggregate)
    extra = {"aggregate": aggregate, "message_id": message.id, **logged}
    logger.info(type.replace(".", " "), extra=extra)
