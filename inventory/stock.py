"""Stock for orders: reserved for all lines of an order or none, and released once.

`reservations` holds the state of each order by its uid, so that events that are repeated, late or
out of order do no harm. The requests of a batch are decided in memory, one after the other, and
written at once. Knows neither the broker nor its messages.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from chassis import trace
from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from chassis.schema.fields import MAX_INTEGER
from chassis.storage import after_commit
from chassis.storage.retention import Expiry
from chassis.trace import Trace
from inventory import reservations
from inventory.events import CONSUMER, noted
from inventory.models import Shortage
from inventory.reservations import Available, Reservation, lines_of
from inventory.settings import Retention

Kind = Literal["reserve", "release", "complete"]
_NAMED = 5  # shortages that a reason names
_CANCELLED = "the order was cancelled"
logger = logging.getLogger(__name__)


class Request(NamedTuple):
    """What an order needs of the stock.

    Attributes:
        kind: what is to be done.
        uid: the order.
        order_id: its id for people.
        asked: the quantity of each product, by its id.
        trace: of the event that requests it.
    """

    kind: Kind
    uid: UUID
    order_id: str
    asked: Mapping[int, int]
    trace: Trace


def shortages(stock: Mapping[int, Available], asked: Mapping[int, int]) -> list[Shortage]:
    """Return the products that are requested in larger quantities than are in stock.

    Args:
        stock: the products that exist, by their ids.
        asked: the quantity of each product that an order asks for, by its id.
    """
    lines = [(id, stock.get(id), quantity) for id, quantity in asked.items()]
    return [
        Shortage(
            product_id=id,
            name=product.name if product else None,
            asked=quantity,
            available=product.quantity if product else 0,
        )
        for id, product, quantity in lines
        if product is None or product.quantity < quantity
    ]


def rejection_reason(short: Sequence[Shortage]) -> str:
    """Return a sentence for people about shortages; it names the first five."""
    named = [
        f"product {line['product_id']} does not exist"
        if line["name"] is None
        else f"{line['asked']} of {line['name']} asked, {line['available']} available"
        for line in short[:_NAMED]
    ]
    more = [f"{len(short) - _NAMED} more"] if len(short) > _NAMED else []
    return ": ".join(filter(None, ["not enough in stock", "; ".join(named + more)]))


def lock(connection: Connection, requests: Sequence[Request]) -> None:
    """Lock what `apply` needs; call it once, first in each transaction."""
    uids = {request.uid for request in requests}
    released = {request.uid for request in requests if request.kind == "release"}
    reservations.lock(connection, uids, released, _products(requests))


def apply(connection: Connection, requests: Sequence[Request]) -> None:
    """Reserve, release or complete what orders request, in order; announce each outcome.

    Args:
        connection: in a transaction for which `lock` was called.
        requests: what the orders need.
    """
    found = reservations.read(connection, {request.uid for request in requests})
    held = {request.uid for request in requests if request.kind == "release"} & found.keys()
    ids = _products(requests).union(*(found[uid].lines for uid in held))
    batch = _Batch(connection, found, reservations.read_stock(connection, ids))
    for request in requests:
        with trace.within(request.trace):
            batch.apply(request)
    batch.write()


def _products(requests: Sequence[Request]) -> set[int]:
    """Return the products that may be reserved."""
    return {id for request in requests if request.kind == "reserve" for id in request.asked}


class _Batch:
    """Requests that are decided one after the other, on reservations and stock in memory."""

    def __init__(
        self,
        connection: Connection,
        found: dict[UUID, Reservation],
        stock: dict[int, Available],
    ) -> None:
        self._connection = connection
        self._found = found
        self._stock = stock
        self._set: dict[int, int] = {}
        self._messages: list[Message] = []
        self._aggregates: list[str] = []

    def apply(self, request: Request) -> None:
        """Decide one request."""
        acts = {"reserve": self._reserve, "release": self._release, "complete": self._complete}
        acts[request.kind](request)

    def write(self) -> None:
        """Write what has changed, and put the announcements into the outbox."""
        changed = [one for one in self._found.values() if one.is_changed]
        reservations.write(self._connection, changed, self._set)
        outbox.add_all(self._connection, self._messages, self._aggregates)

    def _reserve(self, request: Request) -> None:
        """Reserve stock for an order, or reject it.

        A repeated request gets the same answer again: orders repeats it if the first answer was
        lost.
        """
        known = self._found.get(request.uid)
        if known is not None:
            self._answer_again(request, known)
            return
        short = shortages(self._stock, request.asked)
        if short:
            self._insert(request, "rejected", short=short)
            self._announce_rejection(request, short)
            return
        self._insert(request, "reserved", lines=request.asked)
        for id, quantity in request.asked.items():
            self._add_stock(id, -quantity)
        self._announce(request, "stock.reserved", lines=lines_of(request.asked))

    def _answer_again(self, request: Request, known: Reservation) -> None:
        """Answer as before; an order that has ended here and waits there was restored (a backup).

        A completed one goes through its states again, and a cancelled one is cancelled again. One
        that is cancelled there as well takes the rejection as the confirmation that it holds no
        stock.
        """
        if known.state in ("reserved", "completed"):
            self._announce(request, "stock.reserved", lines=known.sorted_lines())
        elif known.state == "rejected":
            self._announce_rejection(request, known.short or [])
        else:
            self._announce(request, "stock.rejected", reason=_CANCELLED, short=[])

    def _release(self, request: Request) -> None:
        """Release an order's stock, if it has any; an order that arrives later reserves none.

        A deleted product gets nothing back. A repeated cancellation repeats `stock.released`,
        without lines for an order that had no stock, or whose stock is sold: that was completed
        before orders restored it from a backup.
        """
        known = self._found.get(request.uid)
        if known is None:
            self._insert(request, "cancelled", cancelled=True)
            self._log(request, "nothing to release")
        elif known.state == "reserved":
            known.end("released")
            known.mark_cancelled()
            for id, quantity in known.lines.items():
                self._add_stock(id, quantity)
            self._announce(request, "stock.released", lines=known.sorted_lines())
        elif not known.cancelled:
            known.mark_cancelled()
            self._log(request, "nothing to release")
        else:
            lines = known.sorted_lines() if known.state == "released" else []
            self._announce(request, "stock.released", lines=lines)

    def _complete(self, request: Request) -> None:
        """Mark an order as completed, and announce that its stock is sold.

        A repeated completion repeats the announcement. It has no lines for an order without a
        reservation, which may have been purged and holds no stock in any case.
        """
        known = self._found.get(request.uid)
        if known is not None and known.state == "reserved":
            known.end("completed")
        state = known.state if known is not None else None
        if known is None or state != "completed":
            extra = {"uid": str(request.uid), "order_id": request.order_id, "state": state}
            said = "a completed order has no stock"
            after_commit.log(self._connection, logger, said, extra, logging.WARNING)
        lines = known.sorted_lines() if known is not None and state == "completed" else []
        self._announce(request, "stock.sold", lines=lines)

    def _insert(
        self,
        request: Request,
        state: str,
        *,
        short: Sequence[Shortage] | None = None,
        cancelled: bool = False,
        lines: Mapping[int, int] | None = None,
    ) -> None:
        self._found[request.uid] = Reservation(
            request.uid,
            request.order_id,
            state,
            short,
            cancelled,
            lines or {},
            is_new=True,
            is_changed=True,
        )

    def _add_stock(self, product_id: int, quantity: int) -> None:
        product = self._stock.get(product_id)
        if product is None:
            return
        # capped at the largest integer, so that the message can always be applied
        stock = min(product.quantity + quantity, MAX_INTEGER)
        self._stock[product_id] = Available(product.name, stock)
        self._set[product_id] = stock

    def _announce_rejection(self, request: Request, short: Sequence[Shortage]) -> None:
        self._announce(request, "stock.rejected", reason=rejection_reason(short), short=short)

    def _announce(self, request: Request, event_type: str, **data: object) -> None:
        about = {"uid": request.uid, "order_id": request.order_id, **data}
        logged = {name: about[name] for name in ("order_id", "reason") if name in about}
        aggregate = f"order/{request.uid}"
        message = noted(self._connection, event_type, about, aggregate, CONSUMER, **logged)
        self._messages.append(message)
        self._aggregates.append(aggregate)

    def _log(self, request: Request, said: str) -> None:
        extra = {"uid": str(request.uid), "order_id": request.order_id}
        after_commit.log(self._connection, logger, said, extra)


def expiries(settings: Retention) -> list[Expiry]:
    """Return the conditions for expired reservations; a reserved one stays until its order ends."""
    ended = "state IN ('rejected', 'released', 'completed')"
    kept = {
        ended: settings.reservations_kept_days,
        "state = 'cancelled'": settings.cancellations_kept_days,
    }
    return [
        Expiry("reservations", "updated_at", timedelta(days=days), condition)
        for condition, days in kept.items()
    ]
