"""The machines of a snapshot, with their processes and databases."""

from collections.abc import Iterator
from typing import Any

from gateway.status.platform import Machine, Process
from gateway.status.prober import Snapshot
from gateway.status.probes import UNKNOWN
from gateway.status.processes import Health


def shown(machine: Machine, snapshot: Snapshot) -> dict[str, Any]:
    """Describe a machine: it is up if its SSH server or any of its processes answers."""
    healths = [(process, health(process, snapshot)) for process in machine.processes]
    answers = any(health.status != "down" for _process, health in healths)
    is_up = machine.is_this or answers or snapshot.ssh.get(machine.name, UNKNOWN).value
    return {
        "name": machine.name,
        "role": machine.role,
        "entrance": machine.is_entrance,
        "address": machine.address,
        "status": "up" if is_up else "down",
        "database": _database(machine, snapshot),
        "processes": [_process(process, health) for process, health in healths],
    }


def health(process: Process, snapshot: Snapshot) -> Health:
    """Return the health of a process."""
    found = snapshot.health.get(process.key, UNKNOWN)
    if isinstance(found.value, Health):
        return found.value
    return Health("down", detail=found.failure)


def _process(process: Process, health: Health) -> dict[str, Any]:
    return {
        "name": process.name,
        "kind": process.kind,
        "port": process.port,
        "status": health.status,
        "milliseconds": health.milliseconds,
        "detail": health.detail,
        "checks": health.checks,
    }


def _database(machine: Machine, snapshot: Snapshot) -> dict[str, str] | None:
    if machine.database is None:
        return None
    return {"name": machine.database, "status": _database_status(machine, snapshot)}


def _database_status(machine: Machine, snapshot: Snapshot) -> str:
    """Return `down` if a process reports so, `up` if all that answer do, `unknown` if none answers.

    A relay reports `up` as long as its connection is open; a frozen database keeps it open.
    """
    seen = set(_seen(machine, snapshot))
    return "down" if "down" in seen else "up" if seen else "unknown"


def _seen(machine: Machine, snapshot: Snapshot) -> Iterator[str]:
    for process in machine.processes:
        check = health(process, snapshot).checks.get(machine.database or "")
        if check:
            yield check["status"]
