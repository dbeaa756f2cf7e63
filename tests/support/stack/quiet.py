"""Whether any message is in flight in the tests' stack."""

import re

import requests

from tools.stack import backlog
from tools.stack.layout import PROCESSES
from tools.stack.stack import Stack

CONSUMERS = [process for process in PROCESSES if process.consumes]
# a parser of all metrics takes far longer, and this is asked again and again
IN_FLIGHT = re.compile(r"^messages_in_flight\{[^}]*\} (\S+)$", re.MULTILINE)


def is_quiet(stack: Stack) -> bool:
    """Whether no message waits in an outbox or a queue or is unacknowledged."""
    return backlog.is_empty(stack) and not in_hand(stack)


def in_hand(stack: Stack) -> int:
    """How many delivered messages are not acknowledged."""
    found = 0.0
    for process in CONSUMERS:
        metrics = requests.get(f"{stack.address(process)}/metrics", timeout=20).text
        found += sum(map(float, IN_FLIGHT.findall(metrics)))
    return int(found)
