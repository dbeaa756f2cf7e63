"""What befalls servers of the tests, for a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from local import processes
from local.rabbitmq import RabbitMQ
from local.stack import Server


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
def frozen(rabbitmq: RabbitMQ) -> Iterator[None]:
    """Have the broker say nothing, with its connections open."""
    pids = rabbitmq.pids()
    try:
        processes.freeze(pids)
        yield
    finally:
        processes.thaw(pids)
