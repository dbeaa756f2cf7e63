"""What befalls servers of the tests, for a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from tools.stack import processes
from tools.stack.servers.postgres import Postgres
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.stack import Server


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Have a server away, in good order."""
    server.stop()
    with _started_again(server):
        yield


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """Have a server away, as after a power cut."""
    server.kill()
    with _started_again(server):
        yield


@contextmanager
def _started_again(server: Server) -> Iterator[None]:
    try:
        yield
    finally:
        server.start()


@contextmanager
def queues_stopped(rabbitmq: RabbitMQ) -> Iterator[None]:
    """Have the broker's quorum queues dead, though it serves all else; restart it afterwards."""
    rabbitmq.stop_queues()
    try:
        yield
    finally:
        rabbitmq.restart()


@contextmanager
def frozen(server: RabbitMQ | Postgres) -> Iterator[None]:
    """Have a server say nothing, with its connections open: the kernel still takes what comes."""
    pids: list[int] = []
    try:
        # once more, for what it has started meanwhile: the first to stop is who starts them
        for _ in range(2):
            pids = server.pids()
            processes.freeze(pids)
        yield
    finally:
        processes.thaw(pids)
