"""Makes RabbitMQ's definitions file from topology.yml and the variables.

    python3 -m provisioning.rabbitmq.definitions VERSION > definitions.json

from the directory above, with the RABBITMQ_* variables in the environment. Services declare the
same, but what is published before their first start must not be lost. Runs by the system's Python,
with PyYAML. The same input gives the same output, so that a second run changes nothing.
https://www.rabbitmq.com/docs/definitions
"""

import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from chassis.topology import Queue
from chassis.topology_file import read_topology

Definitions = dict[str, Any]
DEAD_LETTERS, BILLS = ".dlq", "RABBITMQ_QUEUE"
# the tag of users that provisioning created; an administrator's users lack it
OUR_TAG = "crud-master"
# the first versions with a default queue type of a vhost, and with a default delivery limit
DEFAULT_QUEUE_TYPE_SINCE = (3, 11)
DELIVERY_LIMIT_SINCE = (4, 0)


def definitions(variables: Mapping[str, str], version: str) -> Definitions:
    """Return the definitions for a broker of `version`, such as "4.0.5".

    Raises KeyError naming the variable that is missing.
    """
    user, vhost = variables["RABBITMQ_USER"], variables["RABBITMQ_VHOST"]
    release = _release(version)
    consumed = consumed_queues(variables["RABBITMQ_QUEUE"])
    topology = read_topology()
    others = (queue.named(variables) for queue in unconsumed())
    queues = [*(name + end for name in consumed for end in ("", DEAD_LETTERS)), *others]
    return {
        "users": [_user(user, variables["RABBITMQ_PASSWORD"])],
        "vhosts": [_vhost(vhost, release)],
        "permissions": [_permission(user, vhost)],
        "policies": _policies(vhost, variables, release),
        "queues": [_queue(vhost, name) for name in queues],
        "exchanges": [_exchange(vhost, name, kind) for name, kind in topology.exchanges.items()],
        "bindings": [_binding(vhost, *binding) for binding in _bindings(variables)],
    }


def consumed_queues(queue: str) -> list[str]:
    """The names of consumed queues, which have dead letters; `queue` is RABBITMQ_QUEUE."""
    return [known.named({BILLS: queue}) for known in read_topology().consumed]


def unconsumed() -> list[Queue]:
    """The queues that no service consumes."""
    topology = read_topology()
    return [queue for queue in topology.queues if queue not in topology.consumed]


def password_hash(user: str, password: str) -> str:
    """The salted SHA-256 hash as RabbitMQ stores it; the salt derives from user and password.

    https://www.rabbitmq.com/docs/passwords#this-is-the-algorithm
    """
    salt = hashlib.sha256(f"{user}\0{password}".encode()).digest()[:4]
    digest = hashlib.sha256(salt + password.encode()).digest()
    return base64.b64encode(salt + digest).decode()


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _user(name: str, password: str) -> Definitions:
    return {
        "name": name,
        "password_hash": password_hash(name, password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": ["management", OUR_TAG],
        "limits": {},
    }


def _vhost(name: str, release: tuple[int, ...]) -> Definitions:
    if release < DEFAULT_QUEUE_TYPE_SINCE:
        return {"name": name}
    quorum = {"default_queue_type": "quorum"}
    return {"name": name, "metadata": quorum | {"description": "", "tags": []}, **quorum}


def _permission(user: str, vhost: str) -> Definitions:
    return {"user": user, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}


def _policies(
    vhost: str, variables: Mapping[str, str], release: tuple[int, ...]
) -> list[Definitions]:
    """Only the policy of the highest priority applies to a queue, so each one is complete."""
    unlimited = {"delivery-limit": -1} if release >= DELIVERY_LIMIT_SINCE else {}
    consumed = read_topology().consumed
    chosen = [_dead_letters(vhost, queue, variables, unlimited) for queue in consumed]
    chosen += [_newest(vhost, queue, variables, unlimited) for queue in unconsumed() if queue.limit]
    if unlimited:
        chosen.append(_policy(vhost, "no-delivery-limit", ".*", 0, unlimited))
    return chosen


def _dead_letters(
    vhost: str, queue: Queue, variables: Mapping[str, str], unlimited: Mapping[str, int]
) -> Definitions:
    called = queue.named(variables)
    # a fixed name: a renamed queue must not leave a policy behind
    name = "dead-letters" if queue.variable else f"dead-letters-of-{called}"
    target = {"dead-letter-exchange": "", "dead-letter-routing-key": called + DEAD_LETTERS}
    return _policy(vhost, name, f"^{re.escape(called)}$", 10, {**target, **unlimited})


def _newest(
    vhost: str, queue: Queue, variables: Mapping[str, str], unlimited: Mapping[str, int]
) -> Definitions:
    called, limit = queue.named(variables), queue.limit
    bounds = {"max-length": limit.messages, "max-length-bytes": limit.bytes} if limit else {}
    definition = {**bounds, "overflow": "drop-head", **unlimited}
    name = f"newest-{queue.name.removesuffix('_queue')}"
    return _policy(vhost, name, f"^{re.escape(called)}$", 10, definition)


def _policy(
    vhost: str, name: str, pattern: str, priority: int, definition: Definitions
) -> Definitions:
    return {
        "vhost": vhost,
        "name": name,
        "pattern": pattern,
        "apply-to": "queues",
        "priority": priority,
        "definition": definition,
    }


def _queue(vhost: str, name: str) -> Definitions:
    return {
        "vhost": vhost,
        "name": name,
        "durable": True,
        "auto_delete": False,
        "arguments": {"x-queue-type": "quorum"},
    }


def _exchange(vhost: str, name: str, kind: str) -> Definitions:
    return {
        "vhost": vhost,
        "name": name,
        "type": kind,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def _bindings(variables: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Exchange, queue and routing key of each binding."""
    for queue in read_topology().queues:
        for exchange, key in queue.bindings:
            yield exchange, queue.named(variables), key


def _binding(vhost: str, exchange: str, queue: str, routing_key: str) -> Definitions:
    return {
        "vhost": vhost,
        "source": exchange,
        "destination": queue,
        "destination_type": "queue",
        "routing_key": routing_key,
        "arguments": {},
    }


if __name__ == "__main__":
    json.dump(definitions(os.environ, sys.argv[1]), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")
