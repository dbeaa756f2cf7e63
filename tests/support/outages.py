"""Outages of the tests' servers, for a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from tools.stack import processes
from tools.stack.servers.postgres import Postgres
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.stack import Server


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Stop a server cleanly, for a block."""
    server.stop()
    with _started_again(server):
        yield


def keep_queues(rabbitmq: RabbitMQ) -> None:
    """Have RabbitMQ write down now which directory belongs to which queue.

    It does so half a second late. If it is killed before, a queue that was deleted and declared
    anew stays down for good: the broker looks for the former directory.
    """
    rabbitmq.control("eval", "[ok = dets:sync(Table) || Table <- dets:all()].")


def cut_power(server: Server) -> None:
    """Kill a server as a power cut would, when a RabbitMQ has written down its queues."""
    if isinstance(server, RabbitMQ):
        keep_queues(server)
    server.kill()


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """Kill a server as a power cut would, for a block."""
    cut_power(server)
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
    """End the broker's quorum queues while it serves everything else; start it anew afterwards.

    It is killed for that: an orderly stop takes as long as a start.
    """
    rabbitmq.stop_queues()
    try:
        yield
    finally:
        cut_power(rabbitmq)
        rabbitmq.start()


@contextmanager
def frozen(server: RabbitMQ | Postgres) -> Iterator[None]:
    """Freeze a server: its connections stay open, and the kernel still accepts data."""
    pids: list[int] = []
    try:
        # once more, for processes that started meanwhile: the first one stopped starts the others
        for _ in range(2):
            pids = server.pids()
            processes.freeze(pids)
        yield
    finally:
        processes.thaw(pids)
