"""inventory-consumer: reserves stock for new orders, releases it or marks it sold when they end."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints
from sqlalchemy import Connection

from chassis.consumer_process import ConsumerProcess
from chassis.messaging.event_handler import BatchReaction, EventData, EventHandler, ReceivedEvent
from chassis.schema.fields import NO_NUL, BigInt, Count
from chassis.storage.database import Database
from inventory import stock
from inventory.events import CONSUMER
from inventory.settings import Settings

PROCESS = CONSUMER
ORDERS = "order_events"


class OrderLine(EventData):
    """A product of an order, and its quantity."""

    product_id: BigInt
    quantity: Count


class Order(EventData):
    """The members of an order that inventory reads; a bare order has no lines and no stock."""

    uid: UUID
    order_id: Annotated[str, StringConstraints(min_length=1, max_length=50), NO_NUL]
    lines: list[OrderLine]

    @property
    def aggregate(self) -> UUID:
        """The order."""
        return self.uid

    @property
    def asked(self) -> Mapping[int, int]:
        """The quantity of each product, by its id."""
        asked: Counter[int] = Counter()
        for line in self.lines:
            asked[line.product_id] += line.quantity
        return asked


KINDS: Mapping[str, stock.Kind] = {
    "order.created": "reserve",
    "order.cancelled": "release",
    "order.completed": "complete",
}
"""What an order needs of the stock, by the type of its event."""


def _requests(events: Sequence[ReceivedEvent]) -> list[stock.Request]:
    return [
        stock.Request(
            KINDS[event.type], event.data.uid, event.data.order_id, event.data.asked, event.trace
        )
        for event in events
        if isinstance(event.data, Order) and event.data.lines
    ]


def _lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    stock.lock(connection, _requests(events))


def _apply(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    if requests := _requests(events):
        stock.apply(connection, requests)


def create_handler(database: Database) -> EventHandler:
    """Return the handler that applies the events of orders to `movies_db`."""
    reaction = BatchReaction(ORDERS, Order, _apply)
    return EventHandler(database, PROCESS, dict.fromkeys(KINDS, reaction), _lock)


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume inventory_inbox until `stop` is set."""
    process = ConsumerProcess(PROCESS, settings, stop)
    process.consume("inventory_inbox", create_handler(process.database()))
    process.run(settings.consumer_port)
