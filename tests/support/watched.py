"""A platform for the gateway to watch: health servers that a test can break."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from prometheus_client import REGISTRY
from werkzeug.serving import make_server

from chassis.http import app as web
from chassis.http.health import Check
from chassis.settings import BrokerSettings, Upstream
from gateway.status.platform import Machine, Platform, Process
from gateway.status.prober import Sources
from gateway.status.watcher import Watcher
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until


@dataclass
class Needed:
    """A dependency of a process; it is up by default."""

    name: str
    failure: str = ""
    calls: int = 0

    def check(self) -> None:
        """Return the failure."""
        self.calls += 1
        if self.failure:
            raise ConnectionError(self.failure)


class Server:
    """An application on a port, until it is stopped."""

    def __init__(self, app: Flask, port: int = 0) -> None:
        self._http = make_server("127.0.0.1", port, app, threaded=True)
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@dataclass
class Plant:
    """One machine with two processes and their dependencies, and its watch."""

    broker: BrokerSettings
    database: Needed = field(default_factory=lambda: Needed("movies_db"))
    orders: Upstream = field(default_factory=lambda: nobody("orders-api"))
    billing: Upstream = field(default_factory=lambda: nobody("billing-api"))

    def __post_init__(self) -> None:
        """Start the processes."""
        self.api = Server(web.create_app("inventory-api", ready=[self.database]))
        self.relay = Server(web.create_app("inventory-relay", ready=[self.database]))
        self.more: list[Machine] = []
        self.own: list[Check] = []
        self.own_key: str | None = None
        self._watch: Watcher | None = None

    @property
    def watch(self) -> Watcher:
        """The watch over all machines so far, created at its first use."""
        if self._watch is None:
            platform = Platform((self._machine(), *self.more), ("events_queue",), self.own_key)
            sources = Sources(platform, self.broker, self.orders, self.billing, self.own)
            self._watch = Watcher(sources)
        return self._watch

    def process(self, name: str, machine: str = "inventory-vm") -> dict[str, Any]:
        """A process in the newest status."""
        return next(p for p in self.machine(machine)["processes"] if p["name"] == name)

    def machine(self, name: str = "inventory-vm") -> dict[str, Any]:
        """A machine in the newest status."""
        machines = self.watch.status()["machines"]
        return dict(next(m for m in machines if m["name"] == name))

    def queue(self, name: str) -> dict[str, Any]:
        """A queue in the newest status."""
        return dict(next(q for q in self.watch.status()["queues"] if q["name"] == name))

    def wait_for(self, status: str, name: str) -> dict[str, Any]:
        """Wait until the status shows a process in this state."""
        wait_until(lambda: self.process(name)["status"] == status, 20, f"{name} to be {status}")
        return self.process(name)

    def close(self) -> None:
        """Stop the watch and the remaining processes."""
        if self._watch is not None:
            self._watch.close()
            # another test's, too, which stops ten seconds after its last request
            wait_until(lambda: not watching(), 60, "the watch to end")
        for server in (self.api, self.relay):
            with suppress(OSError):
                server.stop()

    def _machine(self) -> Machine:
        processes = (
            Process("inventory-api", "127.0.0.1", self.api.port),
            Process("inventory-relay", "127.0.0.1", self.relay.port, kind="relay"),
        )
        return Machine("inventory-vm", "127.0.0.1", "movies_db", processes)


def nobody(name: str) -> Upstream:
    """A service that does not run."""
    return Upstream(name, "127.0.0.1", free_port())


def machine(name: str, process: str, port: int, queues: tuple[str, ...] = ()) -> Machine:
    """A machine with one process."""
    kind = "consumer" if queues else "relay" if process.endswith("-relay") else "server"
    return Machine(name, "127.0.0.1", "a_db", (Process(process, "127.0.0.1", port, queues, kind),))


def watching() -> list[str]:
    """The threads of the watch."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith(("watch", "gateway watch"))]


@contextmanager
def unreachable() -> Iterator[int]:
    """Lend a port that neither answers nor refuses."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        yield full.getsockname()[1]
        for one in waiting:
            one.close()


def gauge(name: str, **labels: str) -> float:
    """The value of a gauge of this process; 0 if there is none."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
