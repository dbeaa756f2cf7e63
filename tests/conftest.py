"""Real servers for the tests, on free ports, started once and only when a test asks for them."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

from chassis import logs
from chassis.storage import database
from tests.support import side_by_side
from tests.support.checkout import Checkout, started
from tests.support.servers import DATABASES, PASSWORD, Logged
from tools.stack.ports import free_port
from tools.stack.servers.data_directories import private_home
from tools.stack.servers.postgres import Postgres
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.stack import Stack

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

LIBRARIES = ("pika", "urllib3", "werkzeug", "alembic")

# it reports each refused connection five times; what the code logs about it is enough
logging.getLogger("pika").setLevel(logging.CRITICAL)
# a busy machine makes an example slow, and no property false
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
# `./stack test --long` chooses it
settings.register_profile("many", settings.get_profile("patient"), max_examples=1000)
side_by_side.take_own_ports()


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` starts."""
    return side_by_side.processes(psutil.virtual_memory().available)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> side_by_side.Scheduling | None:
    """What shares the files out among the processes, with `--dist loadfile`."""
    if config.getvalue("dist") != "loadfile":
        return None
    return side_by_side.Scheduling(config, log)


@pytest.fixture(autouse=True, scope="session")
def _own_environment() -> None:
    """Keep the variables of whoever runs the tests out of them."""
    theirs = (*OTHERS, *(f"{service.upper()}_" for service in DATABASES))
    for name in list(os.environ):
        if name == "ENV_FILE" or name.startswith(theirs):
            del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def state_directory(
    _own_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Give what runs in this process a STATE_DIR of its own.

    The default is shared with other processes of the tests and with earlier runs: a consumer would
    find their marks of suspected messages there, and the gateway their counts of requests.
    """
    with pytest.MonkeyPatch.context() as patched:
        directory = tmp_path_factory.mktemp("state")
        patched.setenv("STATE_DIR", str(directory))
        yield directory


@pytest.fixture(autouse=True, scope="session")
def _patient_with_databases() -> None:
    """Have the tests' own connections wait for a PostgreSQL that others keep from the cores.

    An unavailable server refuses at once, whatever the time limit.
    """
    database.CONNECT_TIMEOUT = 20


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Logged]:
    """Logging as a service configures it, until the test ends; what it has logged, line by line."""
    root, output = logging.getLogger(), tmp_path / "logged"
    levels = {logger: logger.level for logger in (root, *map(logging.getLogger, LIBRARIES))}
    # removed first: `configure` closes the handlers that it finds
    handlers, root.handlers = root.handlers, []
    with output.open("w") as stdout, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stdout)
        logs.configure("inventory-api")

    def lines() -> list[dict[str, Any]]:
        logs.flush()
        return [json.loads(line) for line in output.read_text().split("\n")[:-1]]

    yield lines
    root.handlers = handlers
    for logger, level in levels.items():
        logger.setLevel(level)


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
    server.stop_at_once()


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
    # nothing of it is kept, and to stop in order takes it six seconds
    server.kill()


@pytest.fixture(scope="session")
def checkout() -> Iterator[Checkout]:
    """A copy of the checkout, whose stack has been started as a newcomer starts it."""
    with started() as checkout:
        yield checkout


@pytest.fixture(scope="session")
def stack(checkout: Checkout) -> Stack:
    """The whole stack, private to the tests: own servers, own PM2, free ports."""
    return checkout.lent()
