"""A relay like those of the services, for a separate thread or process."""

import threading
from contextlib import closing

from chassis.messaging.declarations import Topology
from chassis.messaging.publisher import Publisher
from chassis.outbox.lanes import BATCH
from chassis.outbox.relay import Relay
from chassis.settings import BrokerSettings, DatabaseSettings


def relay_until(
    database: DatabaseSettings,
    broker: BrokerSettings,
    topology: Topology,
    stop: threading.Event,
    confirm_seconds: float = 30,
    batch: int = BATCH,
) -> None:
    """Run a relay until `stop` is set."""
    with closing(Publisher(broker, "test relay", topology)) as publisher:
        publisher.start()
        Relay(database, publisher, stop, confirm_seconds, batch).run()
