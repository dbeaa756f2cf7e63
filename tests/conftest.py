"""Real servers for the tests, on free ports, started once and only when a test asks for them."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import ports
from local.homes import private_home
from local.ports import free_port
from local.postgres import Postgres
from local.rabbitmq import RabbitMQ
from local.stack import Stack

PASSWORD = "a password of the tests'"
DATABASES = {
    "gateway": ("gateway_db", "gateway_user"),
    "inventory": ("movies_db", "inventory_user"),
    "billing": ("billing_db", "billing_user"),
    "customers": ("customers_db", "customers_user"),
    "orders": ("orders_db", "orders_user"),
}
# how the names of all variables begin that are no service's own
OTHERS = (
    "RABBITMQ_",
    "EVENT",
    "API_TOKEN",
    "AUTH_",
    "SMTP_",
    "MAIL_",
    "RATE_LIMIT_",
    "TRUSTED_",
    "CORS_",
)

# of memory that each of the processes side by side may need for servers and a stack, in bytes
MEMORY = 3 * 1024**3


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes `-n auto` starts: one more than cores, since tests wait a lot."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min((os.cpu_count() or 1) + 1, available // MEMORY))


def own_ports(process: int, processes: int) -> str:
    """The part of the ports that one of the processes side by side may take."""
    first, last = map(int, ports.DEFAULT.split("-"))
    share = (last + 1 - first) // processes
    return f"{first + process * share}-{first + (process + 1) * share - 1}"


if "PYTEST_XDIST_WORKER" in os.environ:
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    os.environ[ports.FREE_PORTS] = own_ports(number, int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))

# it reports each refused connection five times; what the code logs about it is enough
logging.getLogger("pika").setLevel(logging.CRITICAL)


@pytest.fixture(autouse=True, scope="session")
def _own_environment() -> None:
    """Keep the variables of whoever runs the tests out of them."""
    theirs = (*OTHERS, *(f"{service.upper()}_" for service in DATABASES))
    for name in list(os.environ):
        if name == "ENV_FILE" or name.startswith(theirs):
            del os.environ[name]


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A directory that PostgreSQL's user can reach."""
    with private_home() as path:
        yield path


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[Postgres]:
    """A PostgreSQL with a database for each service."""
    server = Postgres(home / "postgres", host="127.0.0.1", port=free_port(), fsync=False)
    server.start()
    for name, user in DATABASES.values():
        server.create_database(name, user, PASSWORD)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbitmq(home: Path) -> Iterator[RabbitMQ]:
    """A RabbitMQ with the project's vhost, user and queues."""
    server = RabbitMQ(
        home / "rabbitmq",
        host="127.0.0.1",
        port=free_port(),
        management_port=free_port(),
        user="rabbitmq_user",
        password=PASSWORD,
        vhost="billing_vhost",
        queue="billing_queue",
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole stack, private to the tests: own servers, own PM2, free ports."""
    with private_home() as home:
        stack = Stack.private(home)
        try:
            stack.up()
            yield stack
        finally:
            stack.down()
