"""orders-consumer: events of inventory and billing move orders; those of customers, the replica.

Customers have a queue, a thread and a connection of their own, so that no order waits behind them.

The sweeper runs beside it and sends again what orders wait for.
"""

import threading
from collections.abc import Sequence

from sqlalchemy import Connection

from chassis.consumer_process import ConsumerProcess
from chassis.messaging.event_handler import AnyReaction, EventHandler, ReceivedEvent
from chassis.storage.database import Database
from orders import saga
from orders.customer_replica import reactions as customer_events
from orders.settings import Settings
from orders.sweeping.sweeper import Sweeper

PROCESS = "orders-consumer"


def _lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    customer_events.lock(connection, events)
    saga.lock(connection, events)


def handler(database: Database) -> EventHandler:
    """Return what applies the events of orders_inbox.

    Those of customers came into it in an earlier version, and still do from an old customers-relay.
    """
    reactions: dict[str, AnyReaction] = {**saga.REACTIONS, **customer_events.REACTIONS}
    return EventHandler(database, PROCESS, reactions, _lock)


def replica_handler(database: Database) -> EventHandler:
    """Return what applies the events of customer_replica_inbox.

    Its marks in the inbox are those of `handler`: an event that comes into both is applied once.
    """
    return EventHandler(database, PROCESS, customer_events.REACTIONS, customer_events.lock)


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume until `stop` is set."""
    process = ConsumerProcess(PROCESS, settings, stop)
    # a database for each: they work at the same time
    process.consume("orders_inbox", handler(process.database()))
    process.consume("customer_replica_inbox", replica_handler(process.database()))
    sweeper = Sweeper(process.database(), settings.resend.resend_after_seconds, stop)
    process.run(settings.consumer_port, sweeper.run)
