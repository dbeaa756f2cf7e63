"""Which ports a stack uses: chosen once, then remembered, and checked before a start."""

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tools.stack import first_look, ports
from tools.stack.errors import StackError
from tools.stack.first_look import Place
from tools.stack.layout import CHECKOUT, LOOPBACK, PROCESSES, SERVICES
from tools.stack.variables import PORTS, database_ports

WANTED = "wanted for RABBITMQ_PORT"
Pids = frozenset[int]


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
    binds = {service: variables[f"{service.upper()}_BIND"] for service in SERVICES}
    places = [Place(name, int(variables[name]), host) for name, host in hosts(binds).items()]
    amqp = Place("RABBITMQ_PORT", int(variables["RABBITMQ_PORT"]), LOOPBACK)
    _check_distinct([*places, amqp])
    taken = [place for place in places if not _usable(place.port, place.host, ours)]
    if taken:
        offset = int(variables.get(first_look.OFFSET, 0))
        others = [stack for stack in first_look.running() if stack.checkout != CHECKOUT]
        raise StackError(first_look.sentence(taken, places, offset, others, ports.holder))


def hosts(addresses: Mapping[str, str]) -> dict[str, str]:
    """The variable of each port that must be free, and where it is to be; AMQP's may move."""
    found = {process.port_variable: addresses[process.service] for process in PROCESSES}
    return found | {"RABBITMQ_MANAGEMENT_PORT": LOOPBACK}


def _check_distinct(places: Sequence[Place]) -> None:
    for one, other in itertools.combinations(places, 2):
        if (one.port, one.host) == (other.port, other.host):
            raise StackError(
                f"{one.variable} and {other.variable} are both {one.port} on {one.host}: "
                "set one of them to another port."
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
