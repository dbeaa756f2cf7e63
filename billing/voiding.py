"""What billing does with the messages of billing_inbox: void the bill of a cancelled order."""

import logging

from sqlalchemy import Connection

from billing import bills
from billing.events import ORDER_CANCELLED
from billing.schemas import CancelledOrder
from chassis.event_handler import Reaction

logger = logging.getLogger(__name__)


def _void(connection: Connection, order: CancelledOrder, event_id: str) -> None:
    is_recorded = bills.void(connection, str(order.uid))
    what = "bill voided" if is_recorded else "bill is void when it comes"
    logger.info(what, extra={"message_id": str(order.uid), "event_id": event_id})


REACTIONS = {ORDER_CANCELLED: Reaction(CancelledOrder, _void)}
