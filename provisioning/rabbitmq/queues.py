"""Checks that RabbitMQ's vhost exists, and that each quorum queue has a leader.

    python3 -m provisioning.rabbitmq.queues

from the directory above, with RABBITMQ_USER, RABBITMQ_PASSWORD, RABBITMQ_VHOST and
RABBITMQ_MANAGEMENT_PORT in the environment. Exit status 0 if all is well, or nobody may ask; 1,
naming them, if queues are dead: a restart of the broker brings them back with their messages; 3 if
there is no such vhost.

A dead queue can be declared, and its state is `running`: only its leader is missing. Uses the
standard library alone, as it runs by the system's Python.
"""

import json
import os
import sys
from urllib.error import HTTPError
from urllib.parse import quote

from provisioning.rabbitmq.login import ask

DEAD, NO_VHOST = 1, 3
UNAUTHORIZED, NOT_FOUND = 401, 404


def listing_path(vhost: str) -> str:
    """Return where the management API lists the queues of a vhost."""
    return f"/api/queues/{quote(vhost, safe='')}?columns=name,type,leader"


def dead_queues(listing: str) -> list[str]:
    """Return, of the management API's listing, the quorum queues without a leader."""
    return sorted(
        queue["name"]
        for queue in json.loads(listing)
        if queue.get("type") == "quorum" and not queue.get("leader")
    )


def main() -> int:
    """Ask; return the exit status."""
    user, password = os.environ["RABBITMQ_USER"], os.environ["RABBITMQ_PASSWORD"]
    path = listing_path(os.environ["RABBITMQ_VHOST"])
    try:
        listing = ask(path, user, password, int(os.environ["RABBITMQ_MANAGEMENT_PORT"]))
    except HTTPError as error:
        if error.code == UNAUTHORIZED:
            return 0
        if error.code == NOT_FOUND:
            return NO_VHOST
        raise
    dead = dead_queues(listing)
    sys.stdout.writelines(f"{name}\n" for name in dead)
    return DEAD if dead else 0


if __name__ == "__main__":
    sys.exit(main())
