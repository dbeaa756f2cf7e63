"""The sweeper: the step that an order waits in is sent again, until the order is settled.

A message of the saga may be lost after the broker has confirmed it: a queue is purged, a broker is
built anew. So each order is looked at some time after its last change. Whatever is missing is asked
for again, straight from the participant that owes it, and with a new message id, so that its inbox
does not take the message for a redelivery. Participants answer a repetition with the outcome that
they have recorded; nothing is reserved, billed or mailed twice.

Any number of processes may sweep at once: they pass over each other's locked orders.
"""

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, func, text, update

from chassis import outbox, trace
from chassis.broker import Message
from orders import finding, participants
from orders.events import aggregate, order_event
from orders.finding import FoundOrder
from orders.models import Order
from orders.saga import SOURCE, bill

LOOKED_AT, RESENT = 1000, 100
"""How many orders a round looks at, and for how many it sends something, at most."""
_LONGEST = timedelta(hours=1)
_JITTER = 0.2
logger = logging.getLogger(__name__)

# What an order waits for. A mail is wanted for each change that events told of: not for an import,
# and not for one so old that its mail may have been deleted.
_NEEDS = """
    SELECT orders.id, orders.uid, orders.resends,
        has_items AND status IN ('pending', 'processing') AS step,
        has_items AND status = 'cancelled' AND stock_freed_at IS NULL AS stock,
        has_items AND status = 'cancelled' AND bill_voided_at IS NULL AND EXISTS (
            SELECT FROM order_history WHERE order_pk = orders.id AND to_status = 'processing'
        ) AS bill,
        ARRAY(
            SELECT wanted.step FROM order_history CROSS JOIN LATERAL (SELECT CASE
                WHEN from_status IS NULL AND cause <> 'import' THEN 'created'
                WHEN from_status IS NOT NULL AND to_status IN ('completed', 'cancelled')
                    THEN to_status
            END AS step) AS wanted
            WHERE order_pk = orders.id AND wanted.step IS NOT NULL
                AND at > now() - interval '1 day'
                AND NOT EXISTS (
                    SELECT FROM mails WHERE order_uid = orders.uid AND mails.step = wanted.step
                )
            ORDER BY order_history.id
        ) AS mails
    FROM orders CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM order_lines WHERE order_pk = orders.id) AS has_items
    ) AS items
"""
_DUE = text(
    f"{_NEEDS} WHERE sweep_at <= now() - :older_than ORDER BY sweep_at LIMIT :limit "
    "FOR UPDATE OF orders SKIP LOCKED"
)
_SENT_AGAIN = text(f"{_NEEDS} WHERE sweep_at IS NOT NULL AND resends > 0 ORDER BY orders.id")


class Swept(NamedTuple):
    """What a round has done: how many orders were settled, and for how many it has sent something.

    Attributes:
        has_room: whether another round may follow at once: there are more, and most were settled.
    """

    settled: int
    unsettled: int
    has_room: bool


@dataclass(frozen=True)
class Needs:
    """What an order waits for.

    Attributes:
        order_pk: the order's id.
        uid: its name in the saga.
        resends: how often its current step was sent again.
        step: whether it waits for stock, or for its bill.
        stock: whether it is cancelled, and inventory has not said that its stock is free.
        bill: whether it is cancelled, and billing has not said that its bill is void.
        mails: the steps of which no mail is noted.
    """

    order_pk: int
    uid: str
    resends: int
    step: bool
    stock: bool
    bill: bool
    mails: Sequence[str]

    def __bool__(self) -> bool:
        return self.step or self.stock or self.bill or bool(self.mails)

    def words(self, status: str) -> str:
        """Say who owes the order what."""
        owed = [
            ("inventory: stock reserved", self.step and status == "pending"),
            ("billing: bill recorded", self.step and status == "processing"),
            ("inventory: stock released", self.stock),
            ("billing: bill voided", self.bill),
            *((f"mail-worker: mail {step}", True) for step in self.mails),
        ]
        return ", ".join(words for words, is_owed in owed if is_owed)


def _needs(row: RowMapping) -> Needs:
    return Needs(
        row["id"],
        str(row["uid"]),
        row["resends"],
        row["step"],
        row["stock"],
        row["bill"],
        row["mails"],
    )


def stuck(connection: Connection) -> list[Needs]:
    """Return the orders whose step was sent again, and that are not settled all the same."""
    rows = connection.execute(_SENT_AGAIN).mappings()
    return [needs for row in rows if (needs := _needs(row))]


def sweep(connection: Connection, older_than: timedelta, pause: timedelta) -> Swept:
    """Settle the orders that lack nothing, and send again what the others wait for.

    Args:
        connection: in a transaction, which the caller commits.
        older_than: how long an order may wait before it is looked at.
        pause: how long to wait for an answer; doubled with each repetition, up to an hour.
    """
    due = {"older_than": older_than, "limit": LOOKED_AT}
    found = [_needs(row) for row in connection.execute(_DUE, due).mappings()]
    settled = [needs.order_pk for needs in found if not needs]
    if settled:
        connection.execute(update(Order).where(Order.id.in_(settled)).values(sweep_at=None))
    unsettled = [needs for needs in found if needs][:RESENT]
    for needs in unsettled:
        _send_again(connection, needs, pause)
    has_room = len(found) == LOOKED_AT and len(unsettled) < RESENT
    return Swept(len(settled), len(unsettled), has_room)


def _send_again(connection: Connection, needs: Needs, pause: timedelta) -> None:
    order = finding.get(connection, needs.order_pk)
    own = update(Order).where(Order.id == needs.order_pk)
    if outbox.waits(connection, aggregate(order)):
        # nothing is lost: the broker has not taken it yet
        connection.execute(own.values(sweep_at=func.now()))
        return
    wait = _backed_off(pause, needs.resends) - pause
    connection.execute(own.values(sweep_at=func.now() + wait, resends=Order.resends + 1))
    with trace.within(_trace(connection, order)):
        for message in _messages(connection, order, needs):
            outbox.add(connection, message, aggregate(order))
        extra = {"order_id": order["order_id"], "uid": needs.uid, "resends": needs.resends + 1}
        logger.warning(
            "order is stuck, sent again", extra=extra | {"waits_for": needs.words(order["status"])}
        )


def _backed_off(pause: timedelta, resends: int) -> timedelta:
    """Return how long to wait for the answer: twice the last pause, and a random share of it."""
    doubled = timedelta(seconds=pause.total_seconds() * 2 ** min(resends + 1, 16))
    return min(doubled, max(pause, _LONGEST)) * random.uniform(1, 1 + _JITTER)


def _messages(connection: Connection, order: FoundOrder, needs: Needs) -> Iterator[Message]:
    def event(type: str, queue: str, **changed: object) -> Message:
        made = order_event(connection, type, {**order, **changed}, SOURCE)
        return replace(made, exchange="", routing_key=queue, mandatory=True)

    if needs.step:
        created = order["status"] == "pending"
        yield event("order.created", participants.INVENTORY) if created else bill(order)
    if needs.stock:
        yield event("order.cancelled", participants.INVENTORY)
    if needs.bill:
        yield event("order.cancelled", participants.BILLING)
    for step in needs.mails:
        as_it_was = {"status": "pending", "reason": None} if step == "created" else {}
        yield event(f"order.{step}", participants.MAIL, **as_it_was)


def _trace(connection: Connection, order: FoundOrder) -> trace.Trace:
    """Continue the request that made the order, so that its id finds the repetition, too."""
    first = finding.history(connection, order["id"])[0]
    return trace.continued({"X-Request-ID": first["message_id"] or ""})
