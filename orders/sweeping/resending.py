"""A sweep: the messages that unsettled orders wait for are sent again.

A message of the saga may be lost after the broker has confirmed it: a queue is purged, a broker is
rebuilt. So each order is examined some time after its last change. Whatever is missing is requested
again, straight from the participant that owes it. The message has a new id, so that the inbox does
not take it for a redelivery. Participants answer a repetition with the outcome that they have
recorded; nothing is reserved, billed or mailed twice.

An order is never given up. A participant that refuses its message every time finally gets it once a
day: one more dead letter a day, and the order is listed as stuck.

Any number of processes may sweep at once: they skip each other's locked orders.
"""

import logging
import random
from datetime import timedelta
from typing import NamedTuple

from prometheus_client import Counter
from sqlalchemy import Connection, Update, func, update

from chassis.outbox import table as outbox
from chassis.storage import after_commit
from orders import deleted_orders, queries
from orders.events import aggregate
from orders.models import orders
from orders.queries import OrderFacts
from orders.sweeping import needs, repetition
from orders.sweeping.needs import Needs

ORDERS_RESENT = Counter("orders_resent_total", "Times that the request of an order was sent again")
MAX_EXAMINED, MAX_RESENT = 1000, 100
"""How many orders a sweep examines, and for how many it sends something, at most."""
MAX_WAIT = timedelta(days=1)
"""The longest wait before something is sent again, without the random share."""
_JITTER = 0.2
logger = logging.getLogger(__name__)


class SweepResult(NamedTuple):
    """What a sweep has done.

    Attributes:
        settled: how many orders were settled.
        unsettled: how many wait for something; it was sent again, unless it is still in the outbox.
        has_more: whether another sweep should follow at once: more are due, and this one has not
            reached `MAX_RESENT`.
    """

    settled: int
    unsettled: int
    has_more: bool


def sweep(connection: Connection, older_than: timedelta, pause: timedelta) -> SweepResult:
    """Settle the orders that lack nothing, and send again what the others wait for.

    Args:
        connection: in a transaction, which the caller commits.
        older_than: how long an order may wait before it is examined.
        pause: how long to wait for an answer; it doubles with each repetition, up to `MAX_WAIT`.
    """
    found = needs.due(connection, older_than, MAX_EXAMINED)
    settled = [missing.order_pk for missing in found if not missing]
    if settled:
        connection.execute(update(orders).where(orders.c.id.in_(settled)).values(sweep_at=None))
    unsettled = [missing for missing in found if missing][:MAX_RESENT]
    for missing in unsettled:
        order = queries.get(connection, missing.order_pk)
        request_id = queries.history(connection, missing.order_pk)[0]["message_id"]
        own = update(orders).where(orders.c.id == missing.order_pk)
        _resend(connection, order, missing, request_id, own, pause)
    deleted = _sweep_deleted(connection, older_than, pause)
    has_more = len(found) == MAX_EXAMINED and len(unsettled) < MAX_RESENT
    return SweepResult(len(settled), len(unsettled) + deleted, has_more)


def _sweep_deleted(connection: Connection, older_than: timedelta, pause: timedelta) -> int:
    """Send again what deleted orders wait for; return how many orders that were."""
    found = deleted_orders.due(connection, older_than, MAX_RESENT)
    for order, missing, request_id in found:
        own = deleted_orders.change(order["uid"])
        _resend(connection, order, missing, request_id, own, pause)
    return len(found)


def _resend(
    connection: Connection,
    order: OrderFacts,
    missing: Needs,
    request_id: str | None,
    own: Update,
    pause: timedelta,
) -> None:
    if outbox.has_pending(connection, aggregate(order)):
        # nothing is lost: the message is still in the outbox
        connection.execute(own.values(sweep_at=func.now()))
        return
    wait = resend_wait(pause, missing.resends, random.random()) - pause
    resends = missing.resends + 1
    connection.execute(own.values(sweep_at=func.now() + wait, resends=resends))
    repetition.enqueue(connection, order, missing, request_id)
    ORDERS_RESENT.inc()
    extra = {"order_id": order["order_id"], "uid": missing.uid, "resends": resends}
    extra["waits_for"] = missing.describe(order["status"])
    after_commit.log(connection, logger, "order is stuck, sent again", extra, logging.WARNING)


def resend_wait(pause: timedelta, resends: int, chance: float) -> timedelta:
    """Return how long to wait for an answer before the message is sent once more.

    Args:
        pause: the first wait; it doubles with each repetition, up to `MAX_WAIT`.
        resends: how often the message was sent again before.
        chance: from 0 to 1: which share of the jitter, a fifth of the wait, is added.
    """
    doubled = timedelta(seconds=pause.total_seconds() * 2 ** min(resends + 1, 16))
    return min(doubled, max(pause, MAX_WAIT)) * (1 + _JITTER * chance)
