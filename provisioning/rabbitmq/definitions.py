"""RabbitMQ's definitions file: vhost, user, policies, queues and exchanges, from the variables.

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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Definitions = dict[str, Any]
DEAD_LETTERS = ".dlq"
EXCHANGES = {
    "customer_events": "fanout",
    "order_events": "topic",
    "inventory_events": "topic",
    "billing_events": "topic",
    "events": "topic",
}
# what a service's consumer gets of which exchange, besides what is put straight into the queue, as
# the bills of orders are; it declares the same itself, but what is told before its first start must
# not be lost
INBOXES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "order_bills": {},
    "inventory_inbox": {"order_events": ("order.created", "order.cancelled", "order.completed")},
    "orders_inbox": {
        "inventory_events": ("stock.*",),
        "billing_events": ("bill.voided",),
        "customer_events": ("#",),
    },
    "billing_inbox": {"order_events": ("order.cancelled",)},
    "mail_inbox": {"order_events": ("order.*",)},
}
# what the events API takes, for whoever connects later; the oldest go when nobody does. An event is
# up to 256 KiB: by number alone the queue would fill any disk
EVENTS, EVENTS_QUEUE, EVENTS_KEPT, EVENTS_BYTES_KEPT = "events", "events_queue", 1_000_000, 2**30
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
    release = _release(version)
    consumed = consumed_queues(variables["RABBITMQ_QUEUE"])
    queues = [*(name + end for name in consumed for end in ("", DEAD_LETTERS)), EVENTS_QUEUE]
    return {
        "users": [_user(user, variables["RABBITMQ_PASSWORD"])],
        "vhosts": [_vhost(vhost, release)],
        "permissions": [_permission(user, vhost)],
        "policies": _policies(vhost, consumed, release),
        "queues": [_queue(vhost, name) for name in queues],
        "exchanges": [_exchange(vhost, name, kind) for name, kind in EXCHANGES.items()],
        "bindings": [_binding(vhost, *binding) for binding in _bindings()],
    }


def consumed_queues(queue: str) -> list[str]:
    """The queues that services consume, each with dead letters; `queue` is of clients' bills."""
    return [queue, *INBOXES]


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


def _policies(vhost: str, consumed: Sequence[str], release: tuple[int, ...]) -> list[Definitions]:
    """One policy applies to a queue, that of the highest priority: each has all that it needs."""
    unlimited = {"delivery-limit": -1} if release >= DELIVERY_LIMIT_SINCE else {}
    bounds = {"max-length": EVENTS_KEPT, "max-length-bytes": EVENTS_BYTES_KEPT}
    bounded = {**bounds, "overflow": "drop-head"}
    chosen = [_dead_letters(vhost, queue, unlimited) for queue in consumed]
    chosen.append(_policy(vhost, "newest-events", f"^{EVENTS_QUEUE}$", 10, bounded | unlimited))
    if unlimited:
        chosen.append(_policy(vhost, "no-delivery-limit", ".*", 0, unlimited))
    return chosen


def _dead_letters(vhost: str, queue: str, unlimited: Mapping[str, int]) -> Definitions:
    name = f"dead-letters-of-{queue}" if queue in INBOXES else "dead-letters"
    target = {"dead-letter-exchange": "", "dead-letter-routing-key": queue + DEAD_LETTERS}
    return _policy(vhost, name, f"^{re.escape(queue)}$", 10, {**target, **unlimited})


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


def _bindings() -> Iterator[tuple[str, str, str]]:
    """Exchange, queue and routing key of each binding."""
    yield EVENTS, EVENTS_QUEUE, "#"
    for queue, sources in INBOXES.items():
        for exchange, keys in sources.items():
            yield from ((exchange, queue, key) for key in keys)


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
