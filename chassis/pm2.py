"""The PM2 processes of a role, or of all roles: what chassis/ecosystem.config.js starts.

    python -m chassis.pm2 [ROLE]

prints them as JSON, with the words behind `python` by which each is started.
"""

import json
import sys
from collections.abc import Sequence

from chassis.errors import SettingsError
from chassis.topology import Topology
from chassis.topology_file import read_topology


def rows(topology: Topology, roles: Sequence[str]) -> list[dict[str, object]]:
    """Return name and arguments of each process of `roles`, or of all roles if none is named.

    Raises:
        SettingsError: there is no such role.
    """
    chosen = [topology.role(name) for name in roles] or topology.roles
    return [
        {"name": process.name, "args": ["-m", process.service, process.runs]}
        for role in chosen
        for process in role.processes
    ]


def main(roles: Sequence[str]) -> int:
    """Print them; return the exit status."""
    try:
        sys.stdout.write(json.dumps(rows(read_topology(), roles)))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
