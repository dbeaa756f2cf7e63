"""billing-consumer: records bills, and voids those of cancelled orders.

Bills of orders have a queue, a thread and a connection of their own, so that none waits behind the
bills of clients.
"""

import threading
from functools import partial

from billing import former_queues
from billing.handlers.bill_recorder import BillHandler
from billing.handlers.order_cancelled import REACTIONS
from billing.settings import Settings
from chassis.consumer_process import ConsumerProcess
from chassis.messaging.event_handler import EventHandler

PROCESS = "billing-consumer"


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume the bills of clients, those of orders, and billing_inbox, until `stop` is set.

    Raises:
        Exception: the error that ended one of the three early.
    """
    process = ConsumerProcess(PROCESS, settings, stop)
    # a database for each: they work at the same time
    clients = process.consume("billing_queue", BillHandler(process.database()))
    process.consume("order_bills", BillHandler(process.database(), of_orders=True))
    process.consume("billing_inbox", EventHandler(process.database(), PROCESS, REACTIONS))
    queue, found = settings.broker.queue, clients.watch_former
    watch_former = partial(former_queues.watch, process.ready, queue, found, stop)
    process.run(settings.consumer_port, watch_former)
