"""The relay process of a service: its outbox, its retention, and a port for its health."""

import threading
from collections.abc import Sequence

from chassis.http import worker_process
from chassis.messaging.declarations import of_exchange, of_queue
from chassis.messaging.publisher import Publisher
from chassis.outbox import table as outbox
from chassis.outbox.relay import Relay
from chassis.service_settings import ServiceSettings
from chassis.storage.retention import Expiry, Retention, Task


def run(
    process: str,
    settings: ServiceSettings,
    stop: threading.Event,
    exchange: str,
    queues: Sequence[str] = (),
    expiries: Sequence[Expiry] = (),
    tasks: Sequence[Task] = (),
    is_durable: bool = False,
) -> None:
    """Run the relay process of a service until `stop` is set.

    Args:
        process: its PM2 name.
        settings: the service's.
        stop: set to end it.
        exchange: to which it publishes; it declares all that is bound to it.
        queues: to which it publishes directly.
        expiries: which other rows of that database expire, besides those of the outbox.
        tasks: further work in that database once a minute.
        is_durable: whether no mark of a sent message may be lost, see `Relay`.
    """
    broker = settings.broker
    topology = [part for queue in queues for part in of_queue(queue, broker)]
    publisher = Publisher(broker, process, [*topology, *of_exchange(exchange, broker)])
    publisher.start()
    relay = Relay(settings.database, publisher, stop, is_durable=is_durable)
    every = [outbox.expiry(settings.retention), *expiries]
    retention = Retention(settings.database, every, stop, tasks)
    server, port = settings.server, settings.relay_port
    with worker_process.serving_health(process, [relay, publisher], server, port):
        worker_process.run_together(stop, relay.run, retention.run)
    publisher.close()
