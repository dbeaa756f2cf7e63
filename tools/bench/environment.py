"""The environment of the benchmark: a private stack, its databases, and programs beside it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

from tools.bench.sizes import Sizes
from tools.stack import backlog, variables
from tools.stack.console import Report
from tools.stack.layout import CHECKOUT, PROCESSES
from tools.stack.servers import databases
from tools.stack.servers.amqp import connect
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

# a load generator is one client, which would be limited; set where the platform has the variables
UNLIMITED = {"RATE_LIMIT_READS": "none", "RATE_LIMIT_WRITES": "none"}
# every row but that of cached reads measures the work itself
CACHE, UNCACHED, CACHED = "CACHE", {"CACHE": "off"}, {"CACHE": "on"}
# the relay keeps the cache up to date
CACHING = [process for process in PROCESSES if process.name in ("gateway", "gateway-relay")]
READY_SECONDS = 60.0
SETTLE_SECONDS = 300.0


def overrides() -> dict[str, str]:
    """The variables in which the benchmark's stack differs from `.env.example`."""
    known = variables.parse(CHECKOUT / ".env.example")
    return {name: value for name, value in (UNLIMITED | UNCACHED).items() if name in known}


class Environment:
    """A running stack, how much to measure on it, and where to report."""

    def __init__(self, stack: Stack, sizes: Sizes, report: Report) -> None:
        self.stack = stack
        self.sizes = sizes
        self.report = report
        self.times: dict[str, float] = {}
        self.idle: dict[str, int] = {}

    @property
    def upstream(self) -> str:
        """The address of inventory-api."""
        return self.stack.address(next(p for p in PROCESSES if p.name == "inventory-api"))

    @property
    def broker_url(self) -> str:
        """RabbitMQ's address with the password, for programs that read it from their variables."""
        broker = self.stack.rabbitmq
        user, password, vhost = (quote(t, safe="") for t in (*broker.credentials, broker.vhost))
        return f"amqp://{user}:{password}@{broker.host}:{broker.port}/{vhost}"

    @property
    def has_cache(self) -> bool:
        """Whether the gateway has a cache that can be turned on."""
        return CACHE in self.stack.variables

    @contextmanager
    def gateway_with(self, **own: str) -> Iterator[None]:
        """Restart the gateway with other variables for a block, and as it was after it."""
        self._restart_gateway(own)
        try:
            yield
        finally:
            self._restart_gateway({})

    def _restart_gateway(self, own: dict[str, str]) -> None:
        self.stack.env_file.write_text(variables.render(self.stack.variables | own))
        self.stack.process_manager.call("restart", *(process.name for process in CACHING))
        for process in CACHING:
            wait_until(partial(self.stack.is_ready, process), READY_SECONDS, process.name)

    def connect(self, service: str, database: str | None = None) -> Any:
        """Connect to a service's database, or to another one of its PostgreSQL."""
        connection = databases.connect(self.stack, service, database)
        connection.autocommit = True
        return connection

    def database(self, service: str) -> list[str]:
        """Host, port, name, user and password of a service's database."""
        fields = ("HOST", "PORT", "NAME", "USER", "PASSWORD")
        return [self.stack.variables[f"{service.upper()}_DB_{field}"] for field in fields]

    def database_url(self, service: str) -> str:
        """A service's database with the password, as SQLAlchemy's URL."""
        fields = self.database(service)
        host, port, name, user, password = (quote(field, safe="") for field in fields)
        return f"postgresql+psycopg2://{user}:{password}@{host}:{port}/{name}"

    def query(
        self, service: str, statement: str, *values: object, database: str | None = None
    ) -> list[Any]:
        """Run a statement in a service's database, or in another one of its PostgreSQL.

        Returns its rows.
        """
        with closing(self.connect(service, database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def make_database(self, service: str, name: str) -> None:
        """Make another database of a service, by its migrations."""
        _host, _port, _name, user, password = self.database(service)
        self.stack.postgres[service].create_database(name, user, password)
        self.run("-m", service, "migrate", **{f"{service.upper()}_DB_NAME": name})

    def settle(self) -> None:
        """Wait until no message waits in an outbox or queue."""
        wait_until(
            lambda: backlog.is_empty(self.stack), SETTLE_SECONDS, "messages to be delivered", 0.2
        )

    def discard_bills(self) -> None:
        """Delete all bills and their events, which nothing waits for; then settle."""
        self.query("billing", "TRUNCATE orders, outbox")
        with closing(connect(self.stack.rabbitmq)) as connection:
            connection.channel().queue_purge("orders_inbox")
        self.settle()

    def waiting(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        with closing(connect(self.stack.rabbitmq)) as connection:
            declared = connection.channel().queue_declare(queue, passive=True)
            return int(declared.method.message_count)

    def process_variables(self, **more: str) -> dict[str, str]:
        """The variables of the benchmark's programs; ENV_FILE has the stack's."""
        own = self.stack.process_manager.environment()
        kept = {name: own[name] for name in ("PATH", "HOME", "LANG", "ENV_FILE", "PM2_HOME")}
        queue = {"RABBITMQ_URL": self.broker_url, "RABBITMQ_QUEUE": self.stack.rabbitmq.queue}
        return kept | queue | {"PYTHONPATH": str(CHECKOUT)} | more

    def run(self, *words: str, **own: str) -> str:
        """Run a Python program to its end and return its output.

        Raises subprocess.CalledProcessError if it fails.
        """
        command, seen = [sys.executable, *words], self.process_variables(**own)
        done = subprocess.run(
            command, cwd=CHECKOUT, env=seen, check=True, capture_output=True, text=True
        )
        return done.stdout
