"""The handler of billing_inbox: voids the bill of a cancelled order."""

import logging

from sqlalchemy import Connection

from billing import bills
from billing.events import bill_voided
from billing.schemas import CancelledOrder
from chassis.messaging.event_handler import Reaction
from chassis.outbox import table as outbox
from chassis.storage import after_commit

logger = logging.getLogger(__name__)


def _void(connection: Connection, order: CancelledOrder, event_id: str) -> None:
    """Void the bill and announce it.

    A bill that has not arrived is not announced: its `bill.recorded` will say that it is void. If
    orders repeats the request, it has missed the announcement, or waits for a bill that was lost.
    """
    message_id = str(order.uid)
    void = bills.void(connection, message_id)
    if void.is_recorded or not void.is_new:
        outbox.add(connection, bill_voided(void))
    what = "bill voided" if void.is_recorded else "bill voided before it arrived"
    extra = {"message_id": message_id, "event_id": event_id}
    after_commit.log(connection, logger, what, extra)


REACTIONS = {"order.cancelled": Reaction("order_events", CancelledOrder, _void)}
