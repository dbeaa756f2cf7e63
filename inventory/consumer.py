"""inventory-consumer: reserves stock for new orders, releases it or marks it sold when they end."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints
from sqlalchemy import Connection

from chassis.http import worker_process
from chassis.messaging.consumer import Consumer
from chassis.messaging.declarations import Binding, Exchange, Queue, Topology, dead_letter_queue
from chassis.messaging.event_handler import EventData, EventHandler, Reaction, ReceivedEvent
from chassis.schema.fields import NO_NUL, BigInt, Count
from chassis.storage.database import Database
from inventory import stock
from inventory.events import CONSUMER
from inventory.settings import Settings

PROCESS = CONSUMER
ORDERS = Exchange("order_events", "topic")
CREATED, CANCELLED, COMPLETED = "order.created", "order.cancelled", "order.completed"


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
        CREATED: Reaction(Order, _reserve),
        CANCELLED: Reaction(Order, _release),
        COMPLETED: Reaction(Order, _complete),
    }
    return EventHandler(database, PROCESS, reactions, _lock)


def topology(queue: str) -> Topology:
    """Return the topology that brings the events of orders into `queue`."""
    return [
        ORDERS,
        Queue(queue),
        Queue(dead_letter_queue(queue)),
        *(Binding(queue, ORDERS.name, type) for type in (CREATED, CANCELLED, COMPLETED)),
    ]


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume inventory_inbox until `stop` is set."""
    db = Database(settings.database, connections=1)
    parts = topology(settings.broker.queue)
    consumer = Consumer(settings.broker, PROCESS, parts, create_handler(db), stop)
    ready = Database(settings.database, connections=1)
    worker_process.serve_health(PROCESS, [ready, consumer], settings.server, settings.consumer_port)
    consumer.run()
    db.close()
