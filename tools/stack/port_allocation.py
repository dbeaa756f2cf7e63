"""Which ports a stack uses: chosen once, then remembered, and checked before a start."""

import itertools
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from tools.stack import ports
from tools.stack.errors import StackError
from tools.stack.layout import LOOPBACK, PROCESSES
from tools.stack.variables import PORTS, database_ports

WANTED = "wanted for RABBITMQ_PORT"
Pids = frozenset[int]
Place = tuple[int, str]


def choose(home: Path, values: Mapping[str, str], ours: Pids) -> dict[str, int]:
    """The ports of PostgreSQL and AMQP: as last time, unless another process took them meanwhile.

    `ours` are the processes that belong to this stack.
    """
    file = home / "ports.json"
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    named, wanted = {int(values[name]) for name in PORTS}, int(values["RABBITMQ_PORT"])
    chosen: dict[str, int] = {}
    for name in database_ports():
        taken = {*named, wanted, *chosen.values()}
        chosen[name] = _keep(known.get(name), ours, taken) or _free({*taken, *known.values()})
    chosen["RABBITMQ_PORT"] = _amqp(known, wanted, {*named, *chosen.values()}, ours)
    file.write_text(json.dumps(chosen | {WANTED: wanted}, indent=2))
    return chosen


def _amqp(known: Mapping[str, int], wanted: int, taken: set[int], ours: Pids) -> int:
    last = known.get("RABBITMQ_PORT") if known.get(WANTED) == wanted else None
    # `wanted` even where it is another's, too: `check` says so
    kept = _keep(last, ours, taken) or _keep(wanted, ours)
    return kept or ports.first_free(wanted + 1, avoid=taken)


def choose_private() -> dict[str, int]:
    """Free ports for everything, none twice."""
    names = [*PORTS, *database_ports(), "RABBITMQ_PORT"]
    return dict(zip(names, ports.free_ports(len(names)), strict=True))


def check(variables: Mapping[str, str], ours: Pids) -> None:
    """Raise StackError if two variables name one port, or another process holds one of them."""
    places = _places(variables)
    _check_distinct(places)
    taken = {name: place for name, place in places.items() if not _usable(*place, ours)}
    taken.pop("RABBITMQ_PORT", None)
    if taken:
        raise StackError(_sentence(taken))


def _places(variables: Mapping[str, str]) -> dict[str, Place]:
    hosts = {process.port_variable: variables[process.bind_variable] for process in PROCESSES}
    hosts |= dict.fromkeys(("RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT"), LOOPBACK)
    return {name: (int(variables[name]), host) for name, host in hosts.items()}


def _check_distinct(places: Mapping[str, Place]) -> None:
    for (one, place), (other, same) in itertools.combinations(places.items(), 2):
        if place == same:
            port, host = place
            raise StackError(
                f"{one} and {other} are both {port} on {host}: set one of them to another port."
            )


def _sentence(taken: Mapping[str, Place]) -> str:
    holders = (
        f"port {port} on {host} is taken by {ports.holder(port, host)}"
        for port, host in taken.values()
    )
    them, others = ("it", "another port") if len(taken) == 1 else ("them", "other ports")
    return (
        f"P{'; '.join(holders)[1:]}: end {them}, or set {' and '.join(taken)} to {others}"
        " in .env (cp .env.example .env, if there is none yet)."
    )


def _usable(port: int, host: str, ours: Pids) -> bool:
    if ports.is_free(port, host):
        return True
    holders = ports.holders(port, host)
    return bool(holders) and ours.issuperset(holders)


def _keep(port: int | None, ours: Pids, taken: Collection[int] = frozenset[int]()) -> int | None:
    free = port and port not in taken and _usable(port, LOOPBACK, ours)
    return port if free else None


def _free(taken: set[int]) -> int:
    port = ports.free_port()
    return port if port not in taken else _free(taken)
