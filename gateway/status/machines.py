"""The machines, as a survey found them: their processes and databases."""

from collections.abc import Iterator
from typing import Any

from gateway.status.platform import Machine, Process
from gateway.status.probes import UNKNOWN
from gateway.status.processes import Health
from gateway.status.snapshot import Survey


def shown(machine: Machine, survey: Survey) -> dict[str, Any]:
    """Describe a machine: it is up if its SSH server or any of its processes answers."""
    healths = [(process, health(process, survey)) for process in machine.processes]
    answers = any(health.status != "down" for _process, health in healths)
    is_up = machine.is_this or answers or survey.ssh.get(machine.name, UNKNOWN).value
    return {
        "name": machine.name,
        "role": machine.role,
        "entrance": machine.is_entrance,
        "address": machine.address,
        "status": "up" if is_up else "down",
        "database": _database(machine, survey),
        "processes": [_process(process, health) for process, health in healths],
    }


def health(process: Process, survey: Survey) -> Health:
    """Return how a process is."""
    found = survey.health.get(process.key, UNKNOWN)
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


def _database(machine: Machine, survey: Survey) -> dict[str, str] | None:
    if machine.database is None:
        return None
    return {"name": machine.database, "status": _database_status(machine, survey)}


def _database_status(machine: Machine, survey: Survey) -> str:
    """`down` if a process misses it, `up` if all that answer have it, `unknown` if none does.

    A relay has it as long as its connection is open, which it is to a frozen one, too.
    """
    seen = set(_seen(machine, survey))
    return "down" if "down" in seen else "up" if seen else "unknown"


def _seen(machine: Machine, survey: Survey) -> Iterator[str]:
    for process in machine.processes:
        check = health(process, survey).checks.get(machine.database or "")
        if check:
            yield check["status"]
