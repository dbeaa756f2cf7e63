"""Lists queues with waiting messages that may belong to a former RABBITMQ_QUEUE.

    rabbitmqctl -q list_queues -p VHOST name messages --formatter json |
        python3 -m provisioning.rabbitmq.former_queues

from the directory above, with RABBITMQ_QUEUE in the environment; says how many wait in each, and
which command moves them. Runs by the system's Python, with python3-yaml.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping

from provisioning.rabbitmq.definitions import DEAD_LETTERS, consumed_queues


def former_queues(names: Iterable[str], queue: str) -> list[str]:
    """Return the queues with a dead-letter queue that no service consumes."""
    there, ours = set(names), set(consumed_queues(queue))
    return sorted(name for name in there - ours if name + DEAD_LETTERS in there)


def warnings(depths: Mapping[str, int], queue: str, command: str) -> list[str]:
    """Return a sentence for each former queue with waiting messages.

    Args:
        depths: how many messages each queue of the vhost has.
        queue: RABBITMQ_QUEUE.
        command: how a command of billing begins here.
    """
    sentences = []
    for name in former_queues(depths, queue):
        if waiting := depths[name] + depths[name + DEAD_LETTERS]:
            sentences.append(
                f"{waiting} messages wait in {name}, which no service consumes. If RABBITMQ_QUEUE"
                f" was {name} before it was {queue}, {command} drain {name} moves them."
            )
    return sentences


if __name__ == "__main__":
    listing = {queue["name"]: int(queue["messages"]) for queue in json.load(sys.stdin)}
    for sentence in warnings(listing, os.environ["RABBITMQ_QUEUE"], "crud-master billing"):
        sys.stdout.write(f"{sentence}\n")
