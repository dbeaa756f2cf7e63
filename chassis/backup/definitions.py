"""RabbitMQ's definitions in a backup: what is in the platform's vhost, and nothing secret.

Users, permissions and the vhost itself come from provisioning, and passwords may be others on a new
platform. Parameters (shovels, federation) may hold passwords, so they are left out as well.
Messages are no definitions.

https://www.rabbitmq.com/docs/definitions
"""

import json
from typing import Any

from chassis.backup.errors import BackupError

KEPT = ("exchanges", "queues", "bindings", "policies")


def kept(exported: str, vhost: str) -> bytes:
    """Return what a backup holds of `rabbitmqctl export_definitions`; the vhost's name is left out.

    Raises BackupError: it is not JSON.
    """
    try:
        everything = json.loads(exported)
    except ValueError:
        raise BackupError("rabbitmqctl export_definitions printed no JSON.") from None
    own = {kind: _within(everything.get(kind, []), vhost) for kind in KEPT}
    return json.dumps(own, indent=2, sort_keys=True).encode() + b"\n"


def placed(stored: bytes, vhost: str) -> str:
    """Return the definitions of a backup for `rabbitmqctl import_definitions`, into a vhost."""
    own = json.loads(stored)
    return json.dumps({kind: [{**one, "vhost": vhost} for one in own[kind]] for kind in KEPT})


def _within(some: list[dict[str, Any]], vhost: str) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in one.items() if name != "vhost"}
        for one in some
        if one.get("vhost") == vhost
    ]
