"""orders-consumer: events of inventory and billing move orders; those of customers, the replica.

The sweeper runs beside it and sends again what orders wait for.
"""

import threading
from collections.abc import Sequence

from sqlalchemy import Connection

from chassis.http import worker_process
from chassis.messaging.consumer import Consumer
from chassis.messaging.declarations import (
    Binding,
    Exchange,
    FormerBinding,
    Queue,
    Topology,
    dead_letter_queue,
)
from chassis.messaging.event_handler import EventHandler, ReceivedEvent
from chassis.storage.database import Database
from orders import saga
from orders.customer_replica import reactions as customer_events
from orders.settings import Settings
from orders.sweeping.sweeper import Sweeper

PROCESS, QUEUE = "orders-consumer", "orders_inbox"
TOPOLOGY: Topology = (
    Queue(QUEUE),
    Queue(dead_letter_queue(QUEUE)),
    Exchange("inventory_events", "topic"),
    Exchange("billing_events", "topic"),
    Exchange("customer_events", "fanout"),
    Binding(QUEUE, "inventory_events", "stock.*"),
    Binding(QUEUE, "billing_events", "bill.voided"),
    # billing puts the bills of orders straight into the queue; those of clients are many
    FormerBinding(QUEUE, "billing_events", "bill.recorded"),
    Binding(QUEUE, "customer_events"),
)


def _lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    customer_events.lock(connection, events)
    saga.lock(connection, events)


def handler(database: Database) -> EventHandler:
    """Return what applies the events of the queue."""
    reactions = {**saga.REACTIONS, **customer_events.REACTIONS}
    return EventHandler(database, PROCESS, reactions, _lock)


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume until `stop` is set."""
    database, sweeping, ready = (Database(settings.database, connections=1) for _ in range(3))
    broker = settings.broker.for_queue(QUEUE)
    consumer = Consumer(broker, PROCESS, TOPOLOGY, handler(database), stop)
    sweeper = Sweeper(sweeping, settings.resend.resend_after_seconds, stop)
    worker_process.serve_health(PROCESS, [ready, consumer], settings.server, settings.consumer_port)
    worker_process.run_together(stop, consumer.run, sweeper.run)
    database.close()
    sweeping.close()
