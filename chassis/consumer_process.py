"""The process of a service that consumes queues: further loops, and a port for its health."""

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from chassis.errors import SettingsError
from chassis.http import worker_process
from chassis.http.health import Check
from chassis.http.worker_process import Run
from chassis.messaging import declarations
from chassis.messaging.consumer import Consumer
from chassis.messaging.delivery import Handler, ItemT
from chassis.messaging.event_handler import EventHandler
from chassis.service_settings import ServiceSettings
from chassis.settings import PortSettings
from chassis.storage.database import Database
from chassis.topology import Queue
from chassis.topology_file import read_topology

logger = logging.getLogger(__name__)


class ConsumerProcess:
    """A process, described step by step, then run until it is told to stop."""

    def __init__(self, name: str, settings: ServiceSettings, stop: threading.Event) -> None:
        """Begin a process.

        Args:
            name: its name in topology.yml, which has the queues that it consumes.
            settings: the service's.
            stop: set to end it.
        """
        self._name = name
        self._settings = settings
        self._stop = stop
        self._queues = read_topology().process(name).consumes
        self._consumers: dict[str, Consumer[Any]] = {}
        self._databases: list[Database] = []
        self.ready = self.database()
        """The database that `/ready` checks; loops beside the consumers may use it, too."""

    def database(self, connections: int = 1) -> Database:
        """Return the service's database; `run` closes it."""
        self._databases.append(Database(self._settings.database, connections))
        return self._databases[-1]

    def consume(self, queue: str, handler: Handler[ItemT]) -> Consumer[ItemT]:
        """Have a queue consumed, in a thread and on a connection of its own.

        Raises:
            SettingsError: no binding brings something that the handler reacts to.
        """
        known = read_topology().queue(queue)
        if isinstance(handler, EventHandler):
            _check_bindings(known, handler)
        broker = self._settings.broker
        own = broker.for_queue(broker.name_of(known))
        is_alone = self._queues == (queue,)
        name = self._name if is_alone else f"{self._name} {own.queue}"
        parts = declarations.of_queue(queue, broker)
        consumer = Consumer(own, name, parts, handler, self._stop)
        if not is_alone:
            # /ready distinguishes the consumers by their queues
            consumer.name = own.queue
        self._consumers[queue] = consumer
        return consumer

    def run(self, port: PortSettings, *loops: Run, checks: Sequence[Check] = ()) -> None:
        """Consume until the process is told to stop.

        Args:
            port: of its health.
            loops: what runs beside, each in its own thread; each returns soon after the stop.
            checks: further ones for `/ready`.

        Raises:
            SettingsError: it consumes other queues than topology.yml says.
            Exception: the error that ended one of the consumers and loops early.
        """
        if {*self._consumers} != {*self._queues}:
            listed, consumed = ", ".join(self._queues), ", ".join(self._consumers)
            fault = f"{self._name} has `consumes: [{listed}]`, but its code consumes {consumed}"
            raise SettingsError(f"topology.yml: {fault}")
        ready: list[Check] = [self.ready, *self._consumers.values(), *checks]
        first, *others = (consumer.run for consumer in self._consumers.values())
        with ExitStack() as ended:
            for database in self._databases:
                ended.callback(database.close)
            server = self._settings.server
            ended.enter_context(worker_process.serving_health(self._name, ready, server, port))
            worker_process.run_together(self._stop, first, *others, *loops)


def _check_bindings(queue: Queue, handler: EventHandler) -> None:
    """Warn of bindings for which there is no reaction: their events are ignored.

    Raises:
        SettingsError: there is a reaction without a binding.
    """
    declarations.check_reactions(queue, handler.exchanges)
    if unused := declarations.unused_bindings(queue, handler.exchanges):
        extra = {"queue": queue.name, "bindings": unused}
        logger.warning("bindings bring events that are ignored", extra=extra)
