"""What befalls the tests' RabbitMQ, for a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from local import processes
from local.rabbitmq import RabbitMQ


@contextmanager
def stopped(rabbitmq: RabbitMQ) -> Iterator[None]:
    """Have the broker stopped."""
    rabbitmq.stop()
    try:
        yield
    finally:
        rabbitmq.start()


@contextmanager
def frozen(rabbitmq: RabbitMQ) -> Iterator[None]:
    """Have the broker say nothing, with its connections open."""
    pids = rabbitmq.pids()
    try:
        processes.freeze(pids)
        yield
    finally:
        processes.thaw(pids)
