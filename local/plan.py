"""Which ports a stack uses: chosen once, then remembered, and checked before a start."""

import json
from collections.abc import Mapping
from pathlib import Path

from local import ports
from local.errors import StackError
from local.layout import LOOPBACK, PROCESSES
from local.variables import PORTS, database_ports

WANTED = "wanted for RABBITMQ_PORT"
Pids = frozenset[int]


def choose(home: Path, values: Mapping[str, str], ours: Pids) -> dict[str, int]:
    """The ports of PostgreSQL and AMQP: as last time, unless another process took them meanwhile.

    `ours` are the processes that belong to this stack.
    """
    file = home / "ports.json"
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    chosen = {name: _keep(known.get(name), ours) or _free(known, name) for name in database_ports()}
    chosen["RABBITMQ_PORT"] = _amqp(known, int(values["RABBITMQ_PORT"]), ours)
    file.write_text(json.dumps(chosen | {WANTED: int(values["RABBITMQ_PORT"])}, indent=2))
    return chosen


def _amqp(known: Mapping[str, int], wanted: int, ours: Pids) -> int:
    last = known.get("RABBITMQ_PORT") if known.get(WANTED) == wanted else None
    return _keep(last, ours) or _keep(wanted, ours) or ports.first_free(wanted + 1)


def choose_private() -> dict[str, int]:
    """Free ports for everything, none twice."""
    names = [*PORTS, *database_ports(), "RABBITMQ_PORT"]
    return dict(zip(names, ports.free_ports(len(names)), strict=True))


def check(variables: Mapping[str, str], ours: Pids) -> None:
    """Raise StackError if another process holds a port that .env names."""
    for process in PROCESSES:
        host = variables[process.bind_variable]
        _check_port(process.port_variable, host, variables, ours)
    _check_port("RABBITMQ_MANAGEMENT_PORT", LOOPBACK, variables, ours)


def _check_port(name: str, host: str, variables: Mapping[str, str], ours: Pids) -> None:
    port = int(variables[name])
    if _usable(port, host, ours):
        return
    raise StackError(
        f"Port {port} on {host} is taken by {ports.holder(port)}: end it, or set {name} to another"
        " port in .env (cp .env.example .env, if there is none yet)."
    )


def _usable(port: int, host: str, ours: Pids) -> bool:
    return ports.is_free(port, host) or not ours.isdisjoint(ports.holders(port))


def _keep(port: int | None, ours: Pids) -> int | None:
    return port if port and _usable(port, LOOPBACK, ours) else None


def _free(known: Mapping[str, int], name: str) -> int:
    port = ports.free_port()
    return port if port not in known.values() else _free(known, name)
