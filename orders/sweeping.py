"""The sweeper: the step that an order waits in is sent again, until the order is settled.

A message of the saga may be lost after the broker has confirmed it: a queue is purged, a broker is
built anew. So each order is looked at some time after its last change. Whatever is missing is asked
for again, straight from the participant that owes it, and with a new message id, so that its inbox
does not take the message for a redelivery. Participants answer a repetition with the outcome that
they have recorded; nothing is reserved, billed or mailed twice.

An order is never given up. A participant that refuses its message each time gets it once a day at
last: one more dead letter a day, and the order is among those that are stuck.

Any number of processes may sweep at once: they pass over each other's locked orders.
"""

import logging
import random
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, Update, func, update

from chassis.outbox import table as outbox
from orders import deleted_orders, needs, queries, repetition
from orders.events import aggregate
from orders.models import DeletedOrder, Order
from orders.needs import Needs
from orders.queries import FoundOrder

LOOKED_AT, RESENT = 1000, 100
"""How many orders a round looks at, and for how many it sends something, at most."""
LONGEST = timedelta(days=1)
"""How long to wait before something is sent again, at most, but for a random share of it."""
_JITTER = 0.2
logger = logging.getLogger(__name__)


class Swept(NamedTuple):
    """What a round has done: how many orders were settled, and for how many it has sent something.

    Attributes:
        has_room: whether another round may follow at once: there are more, and most were settled.
    """

    settled: int
    unsettled: int
    has_room: bool


def sweep(connection: Connection, older_than: timedelta, pause: timedelta) -> Swept:
    """Settle the orders that lack nothing, and send again what the others wait for.

    Args:
        connection: in a transaction, which the caller commits.
        older_than: how long an order may wait before it is looked at.
        pause: how long to wait for an answer; doubled with each repetition, up to `LONGEST`.
    """
    found = needs.due(connection, older_than, LOOKED_AT)
    settled = [lacking.order_pk for lacking in found if not lacking]
    if settled:
        connection.execute(update(Order).where(Order.id.in_(settled)).values(sweep_at=None))
    unsettled = [lacking for lacking in found if lacking][:RESENT]
    for lacking in unsettled:
        order = queries.get(connection, lacking.order_pk)
        request_id = queries.history(connection, lacking.order_pk)[0]["message_id"]
        own = update(Order).where(Order.id == lacking.order_pk)
        _send_again(connection, order, lacking, request_id, own, pause)
    deleted = _sweep_deleted(connection, older_than, pause)
    has_room = len(found) == LOOKED_AT and len(unsettled) < RESENT
    return Swept(len(settled), len(unsettled) + deleted, has_room)


def _sweep_deleted(connection: Connection, older_than: timedelta, pause: timedelta) -> int:
    """Do the same for orders that were deleted; return how many."""
    found = deleted_orders.due(connection, older_than, RESENT)
    for order, lacking, request_id in found:
        own = update(DeletedOrder).where(DeletedOrder.uid == order["uid"])
        _send_again(connection, order, lacking, request_id, own, pause)
    return len(found)


def _send_again(
    connection: Connection,
    order: FoundOrder,
    lacking: Needs,
    request_id: str | None,
    own: Update,
    pause: timedelta,
) -> None:
    if outbox.has_pending(connection, aggregate(order)):
        # nothing is lost: the broker has not taken it yet
        connection.execute(own.values(sweep_at=func.now()))
        return
    wait = _backed_off(pause, lacking.resends) - pause
    resends = lacking.resends + 1
    connection.execute(own.values(sweep_at=func.now() + wait, resends=resends))
    repetition.add(connection, order, lacking, request_id)
    extra = {"order_id": order["order_id"], "uid": lacking.uid, "resends": resends}
    logger.warning(
        "order is stuck, sent again", extra=extra | {"waits_for": lacking.words(order["status"])}
    )


def _backed_off(pause: timedelta, resends: int) -> timedelta:
    """Return how long to wait for the answer: twice the last pause, and a random share of it."""
    doubled = timedelta(seconds=pause.total_seconds() * 2 ** min(resends + 1, 16))
    return min(doubled, max(pause, LONGEST)) * random.uniform(1, 1 + _JITTER)
