"""orders-consumer: what inventory, billing and customers tell moves orders and keeps the copy."""

import threading

from chassis import worker
from chassis.broker import Binding, Exchange, Queue, Topology, dead_letter_queue
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.event_handler import EventHandler
from orders import directory, saga
from orders.saga import Saga
from orders.settings import Settings

PROCESS, QUEUE = "orders-consumer", "orders_inbox"
TOPOLOGY: Topology = (
    Queue(QUEUE),
    Queue(dead_letter_queue(QUEUE)),
    Exchange("inventory_events", "topic"),
    Exchange("billing_events", "topic"),
    Exchange("customer_events", "fanout"),
    Binding(QUEUE, "inventory_events", "stock.*"),
    Binding(QUEUE, "billing_events", "bill.recorded"),
    Binding(QUEUE, "customer_events"),
)


def handler(settings: Settings, database: Database) -> EventHandler:
    """Return what applies the events of the queue."""
    reactions = {**Saga(settings.broker.queue).reactions(), **directory.REACTIONS}
    return EventHandler(database, PROCESS, reactions, saga.lock)


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume until `stop` is set."""
    database = Database(settings.database, connections=1)
    broker = settings.broker.for_queue(QUEUE)
    consumer = Consumer(broker, PROCESS, TOPOLOGY, handler(settings, database), stop)
    ready = Database(settings.database, connections=1)
    worker.serve_health(PROCESS, [ready, consumer], settings.server, settings.consumer_port)
    consumer.run()
    database.close()
