"""billing-consumer: bills from billing_queue into billing_db, and which of them are void."""

import threading

from billing.events import INBOX, INBOX_TOPOLOGY
from billing.recording import BillHandler
from billing.settings import Settings
from billing.voiding import REACTIONS
from chassis import worker
from chassis.broker import Queue, Topology, dead_letter_queue
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.delivery import Handler, ItemT
from chassis.event_handler import EventHandler
from chassis.health import Check
from chassis.settings import BrokerSettings

PROCESS = "billing-consumer"


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume billing_queue and billing_inbox until `stop` is set.

    Raises:
        Exception: what ended one of the two before.
    """
    # one connection each: they work at the same time
    recording, voiding, ready = (Database(settings.database, connections=1) for _ in range(3))
    queue = settings.broker.queue
    topology = [Queue(queue), Queue(dead_letter_queue(queue))]
    bills = _consumer(settings.broker, topology, BillHandler(recording), stop)
    inbox = settings.broker.for_queue(INBOX)
    cancellations = _consumer(
        inbox, INBOX_TOPOLOGY, EventHandler(voiding, PROCESS, REACTIONS), stop
    )
    checks: list[Check] = [ready, bills, cancellations]
    worker.serve_health(PROCESS, checks, settings.server, settings.consumer_port)
    worker.run_together(stop, bills.run, cancellations.run)
    recording.close()
    voiding.close()


def _consumer(
    broker: BrokerSettings, topology: Topology, handler: Handler[ItemT], stop: threading.Event
) -> Consumer[ItemT]:
    consumer = Consumer(broker, f"{PROCESS} {broker.queue}", topology, handler, stop)
    # there are two, and /ready tells them apart
    consumer.name = broker.queue
    return consumer
