"""billing-consumer: records bills, and voids those of cancelled orders.

Bills of orders have a queue, a thread and a connection of their own, so that none waits behind the
bills of clients.
"""

import threading

from billing import former_queues
from billing.events import INBOX, INBOX_TOPOLOGY, ORDER_BILLS
from billing.handlers.bill_recorder import BillHandler, ReceivedBill
from billing.handlers.order_cancelled import REACTIONS
from billing.settings import Settings
from chassis.http import worker_process
from chassis.http.health import Check
from chassis.messaging.consumer import Consumer
from chassis.messaging.declarations import Queue, Topology, dead_letter_queue
from chassis.messaging.delivery import Handler, ItemT
from chassis.messaging.event_handler import EventHandler, ReceivedEvent
from chassis.settings import BrokerSettings
from chassis.storage.database import Database

PROCESS = "billing-consumer"


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume the bills of clients, those of orders, and billing_inbox, until `stop` is set.

    Raises:
        Exception: the error that ended one of the three early.
    """
    # one connection for each: they work at the same time
    databases = [Database(settings.database, connections=1) for _ in range(4)]
    of_clients, of_orders, voiding, ready = databases
    clients = _bills(settings.broker, BillHandler(of_clients), stop)
    order_bills = settings.broker.for_queue(ORDER_BILLS)
    orders = _bills(order_bills, BillHandler(of_orders, of_orders=True), stop)
    cancellations = _cancellations(settings.broker.for_queue(INBOX), voiding, stop)
    checks: list[Check] = [ready, clients, orders, cancellations]
    worker_process.serve_health(PROCESS, checks, settings.server, settings.consumer_port)

    def watch_former() -> None:
        former_queues.watch(ready, settings.broker.queue, clients.watch_former, stop)

    worker_process.run_together(stop, clients.run, orders.run, cancellations.run, watch_former)
    for database in databases:
        database.close()


def _bills(
    broker: BrokerSettings, handler: BillHandler, stop: threading.Event
) -> Consumer[ReceivedBill]:
    topology = [Queue(broker.queue), Queue(dead_letter_queue(broker.queue))]
    return _consumer(broker, topology, handler, stop)


def _cancellations(
    broker: BrokerSettings, database: Database, stop: threading.Event
) -> Consumer[ReceivedEvent]:
    handler = EventHandler(database, PROCESS, REACTIONS)
    return _consumer(broker, INBOX_TOPOLOGY, handler, stop)


def _consumer(
    broker: BrokerSettings, topology: Topology, handler: Handler[ItemT], stop: threading.Event
) -> Consumer[ItemT]:
    consumer = Consumer(broker, f"{PROCESS} {broker.queue}", topology, handler, stop)
    # /ready distinguishes the consumers by their queues
    consumer.name = broker.queue
    return consumer
