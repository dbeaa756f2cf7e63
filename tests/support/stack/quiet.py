"""Whether any message is in flight in the tests' stack."""

import requests
from prometheus_client.parser import text_string_to_metric_families

from tools.stack import backlog
from tools.stack.layout import PROCESSES
from tools.stack.stack import Stack


def is_quiet(stack: Stack) -> bool:
    """Whether no message waits in an outbox or a queue or is unacknowledged."""
    return backlog.is_empty(stack) and not in_hand(stack)


def in_hand(stack: Stack) -> int:
    """How many delivered messages are not acknowledged."""
    found = 0.0
    for process in PROCESSES:
        metrics = requests.get(f"{stack.address(process)}/metrics", timeout=20).text
        for family in text_string_to_metric_families(metrics):
            found += sum(s.value for s in family.samples if s.name == "messages_in_flight")
    return int(found)
