"""The relay process of a service: its outbox, its retention, and a port for its health."""

import threading
from collections.abc import Sequence

from chassis.http import worker_process
from chassis.messaging.declarations import Topology
from chassis.messaging.publisher import Publisher
from chassis.outbox import table as outbox
from chassis.outbox.relay import Relay
from chassis.service_settings import ServiceSettings
from chassis.storage.retention import Expiry, Retention, Task


def run(
    process: str,
    settings: ServiceSettings,
    topology: Topology,
    stop: threading.Event,
    expiries: Sequence[Expiry] = (),
    tasks: Sequence[Task] = (),
) -> None:
    """Run the relay process of a service until `stop` is set.

    Args:
        process: its PM2 name.
        settings: the service's.
        topology: what is declared before anything is published.
        stop: set to end it.
        expiries: which other rows of that database expire, besides those of the outbox.
        tasks: further work in that database once a minute.
    """
    publisher = Publisher(settings.broker, process, topology)
    publisher.start()
    relay = Relay(settings.database, publisher, stop)
    worker_process.serve_health(process, [relay, publisher], settings.server, settings.relay_port)
    every = [outbox.expiry(settings.retention), *expiries]
    worker_process.run_together(
        stop, relay.run, Retention(settings.database, every, stop, tasks).run
    )
    publisher.close()
