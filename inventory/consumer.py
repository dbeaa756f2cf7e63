"""inventory-consumer: reserves stock for new orders, releases it or marks it sold when they end."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints
from sqlalchemy import Connection

from chassis.consumer_process import ConsumerProcess
from chassis.messaging.event_handler import EventData, EventHandler, Reaction, ReceivedEvent
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


def _reserve(connection: Connection, order: Order, _event_id: str) -> None:
    if order.lines:
        stock.reserve(connection, order.uid, order.order_id, order.asked)


def _release(connection: Connection, order: Order, _event_id: str) -> None:
    if order.lines:
        stock.release(connection, order.uid, order.order_id)


def _complete(connection: Connection, order: Order, _event_id: str) -> None:
    if order.lines:
        stock.complete(connection, order.uid, order.order_id)


def _lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    orders = [event.data for event in events if isinstance(event.data, Order) and event.data.lines]
    products = {product_id for order in orders for product_id in order.asked}
    stock.lock(connection, {order.uid for order in orders}, products)


def create_handler(database: Database) -> EventHandler:
    """Return the handler that applies the events of orders to `movies_db`."""
    reactions = {
        "order.created": Reaction(ORDERS, Order, _reserve),
        "order.cancelled": Reaction(ORDERS, Order, _release),
        "order.completed": Reaction(ORDERS, Order, _complete),
    }
    return EventHandler(database, PROCESS, reactions, _lock)


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume inventory_inbox until `stop` is set."""
    process = ConsumerProcess(PROCESS, settings, stop)
    process.consume("inventory_inbox", create_handler(process.database()))
    process.run(settings.consumer_port)
