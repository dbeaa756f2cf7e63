"""RabbitMQ's definitions file: vhost, user, policies, queues, exchanges, from the variables.

    python3 provisioning/rabbitmq/definitions.py VERSION > definitions.json

with the RABBITMQ_* variables in the environment. Uses the standard library alone, since it also
runs on a machine that has nothing but the system's Python. The same input gives the same output,
so that a second run changes nothing. https://www.rabbitmq.com/docs/definitions
"""

import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

Definitions = dict[str, Any]
DEAD_LETTERS = ".dlq"
EXCHANGES = {"customer_events": "fanout", "events": "topic"}
# what the events API takes, for whoever connects later; the oldest go when nobody does
EVENTS, EVENTS_QUEUE, EVENTS_KEPT = "events", "events_queue", 1_000_000
# by it a user that was ours is told from one that an administrator has added
OUR_TAG = "crud-master"
# the first version whose vhosts have a default queue type, and that limits deliveries by default
DEFAULT_QUEUE_TYPE_SINCE = (3, 11)
DELIVERY_LIMIT_SINCE = (4, 0)


def definitions(variables: Mapping[str, str], version: str) -> Definitions:
    """What a broker of `version` (such as "4.0.5") loads at its start.

    Raises KeyError naming the variable that is missing.
    """
    user, vhost = variables["RABBITMQ_USER"], variables["RABBITMQ_VHOST"]
    queue, release = variables["RABBITMQ_QUEUE"], _release(version)
    return {
        "users": [_user(user, variables["RABBITMQ_PASSWORD"])],
        "vhosts": [_vhost(vhost, release)],
        "permissions": [_permission(user, vhost)],
        "policies": _policies(vhost, queue, release),
        "queues": [_queue(vhost, name) for name in (queue, queue + DEAD_LETTERS, EVENTS_QUEUE)],
        "exchanges": [_exchange(vhost, name, kind) for name, kind in EXCHANGES.items()],
        "bindings": [_binding(vhost, EVENTS, EVENTS_QUEUE)],
    }


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


def _policies(vhost: str, queue: str, release: tuple[int, ...]) -> list[Definitions]:
    """One policy applies to a queue, that of the highest priority: each has all that it needs."""
    to_dead_letters = {
        "dead-letter-exchange": "",
        "dead-letter-routing-key": queue + DEAD_LETTERS,
    }
    unlimited = {"delivery-limit": -1} if release >= DELIVERY_LIMIT_SINCE else {}
    bounded = {"max-length": EVENTS_KEPT, "overflow": "drop-head"}
    chosen = [
        _policy(vhost, "dead-letters", f"^{re.escape(queue)}$", 10, to_dead_letters | unlimited),
        _policy(vhost, "newest-events", f"^{EVENTS_QUEUE}$", 10, bounded | unlimited),
    ]
    if unlimited:
        chosen.append(_policy(vhost, "no-delivery-limit", ".*", 0, unlimited))
    return chosen


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


def _binding(vhost: str, exchange: str, queue: str) -> Definitions:
    return {
        "vhost": vhost,
        "source": exchange,
        "destination": queue,
        "destination_type": "queue",
        "routing_key": "#",
        "arguments": {},
    }


if __name__ == "__main__":
    json.dump(definitions(os.environ, sys.argv[1]), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")
