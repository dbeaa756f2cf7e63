"""Counts undelivered messages in outboxes and queues."""

from contextlib import closing

from provisioning.rabbitmq.definitions import consumed_queues
from tools.stack.servers.databases import connect
from tools.stack.stack import Stack
from tools.stack.status import queue_depths


def unsent(stack: Stack, service: str) -> int:
    """The number of unsent messages in a service's outbox. Raises psycopg2.Error."""
    with closing(connect(stack, service)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
        [(count,)] = cursor.fetchall()
        return int(count)


def is_empty(stack: Stack) -> bool:
    """Whether no message waits in an outbox or in a consumed queue."""
    if any(unsent(stack, service) for service in stack.postgres):
        return False
    depths = queue_depths(stack.rabbitmq, consumed_queues(stack.rabbitmq.queue))
    return set(depths.values()) == {"0"}
