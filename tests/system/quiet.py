"""Whether anything is on its way through the tests' stack."""

from contextlib import closing

import requests
from prometheus_client.parser import text_string_to_metric_families

from local.databases import connect
from local.layout import PROCESSES
from local.stack import Stack
from local.status import queue_depths
from provisioning.rabbitmq.definitions import consumed_queues


def is_quiet(stack: Stack) -> bool:
    """Whether nothing waits in an outbox or a queue, and no consumer has anything in hand."""
    if any(unsent(stack, service) for service in stack.postgres):
        return False
    depths = queue_depths(stack.rabbitmq, consumed_queues(stack.rabbitmq.queue))
    return set(depths.values()) == {"0"} and not in_hand(stack)


def unsent(stack: Stack, service: str) -> int:
    """How many messages wait in a service's outbox."""
    with closing(connect(stack, service)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
        [(count,)] = cursor.fetchall()
        return int(count)


def in_hand(stack: Stack) -> int:
    """How many messages consumers have that they have not acknowledged."""
    found = 0.0
    for process in PROCESSES:
        metrics = requests.get(f"{stack.address(process)}/metrics", timeout=20).text
        for family in text_string_to_metric_families(metrics):
            found += sum(s.value for s in family.samples if s.name == "messages_in_flight")
    return int(found)
