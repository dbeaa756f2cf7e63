"""Reads topology.yml; its errors name the place in the file."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import yaml

from chassis import topology_yaml
from chassis.topology import (
    ETCD,
    PATRONI,
    RABBITMQ,
    REDIS,
    SERVE,
    Forward,
    Machine,
    Process,
    Queue,
    QueueLimit,
    Role,
    Topology,
    Variable,
)
from chassis.topology_rows import NAME, VARIABLE, Row, checked, variable
from chassis.topology_rows import TopologyError as TopologyError

FILE = Path(__file__).resolve().parent.parent / "topology.yml"
KINDS, SERVERS = ("fanout", "topic"), (RABBITMQ, REDIS, ETCD, PATRONI)


def file_of(name: str | None) -> Path:
    """Return the file that a value of `TOPOLOGY` stands for; `topology.yml` without a value.

    Raises:
        TopologyError: there is no such file.
    """
    if not name:
        return FILE
    known = {file.name.split(".")[1]: file for file in FILE.parent.glob("topology.*.yml")}
    if name not in known:
        raise TopologyError(f"TOPOLOGY={name}: there are {', '.join(sorted(known))}, or nothing.")
    return known[name]


@cache
def read_topology(file: Path = FILE) -> Topology:
    """Return the topology of a file.

    Raises:
        TopologyError: it is not well formed, contradicts itself, or names something undefined.
    """
    try:
        return _topology(Row("", topology_yaml.load(file)))
    except OSError as error:
        raise TopologyError(f"{file.name} can't be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TopologyError(f"{file.name}, line {line}: {error.problem}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopologyError(f"{file.name} is not YAML in UTF-8: {error}.") from None
    except TopologyError as error:
        raise TopologyError(f"{file.name}: {error}") from None


def _topology(file: Row) -> Topology:
    roles = file.rows("roles", _role)
    exchanges = dict(_exchange(name, kind) for name, kind in file.items("exchanges"))
    queues = file.rows("queues", _queue)
    known = {role.name: role for role in roles}
    machines = file.rows("machines", lambda name, row: _machine(name, row, known))
    file.end()
    topology = Topology(machines, roles, exchanges, queues)
    _check(topology)
    return topology


def _role(name: str, row: Row) -> Role:
    role = Role(
        name,
        memory=row.number("memory"),
        cpus=row.number("cpus"),
        servers=row.texts("servers"),
        entrance=row.flag("entrance"),
        watches=row.flag("watches"),
        calls=row.texts("calls"),
        database=row.optional_variable("database", "_DB_NAME"),
        processes=row.rows("processes", lambda process, inner: _process(process, inner, name)),
        settings=row.names("settings"),
        optional=row.names("optional"),
        documents=row.texts("documents"),
        secrets=tuple(_secret(name, key, text) for key, text in row.items("secrets")),
        shared_address=row.optional_variable("shared_address", "_VIP"),
    )
    row.end()
    _known("server", f"role {name}", role.servers, SERVERS)
    return role


def _secret(role: str, name: str, default: object) -> Variable:
    ending = "_COOKIE" if name.endswith("_COOKIE") else "_PASSWORD"
    return variable(f"role {role}: secrets", {name: default}, ending)


def _process(name: str, row: Row, role: str) -> Process:
    process = Process(
        name, role, row.text("runs"), row.variable("port", "_PORT"), row.texts("consumes")
    )
    row.end()
    port = process.port.default
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise TopologyError(f"{name}: {process.port.name} has to be a port, 1 to 65535.")
    return process


def _machine(name: str, row: Row, roles: dict[str, Role]) -> Machine:
    role = row.text("role")
    _known("role", name, [role], roles)
    forwarded = tuple(
        Forward(checked(VARIABLE, guest, name), variable(f"{name}: {guest}", host, "_PORT"))
        for guest, host in row.items("forwarded")
    )
    machine = Machine(name, roles[role], row.variable("address", "_VM_IP"), forwarded)
    row.end()
    return machine


def _exchange(name: str, kind: object) -> tuple[str, str]:
    if kind not in KINDS:
        raise TopologyError(f"exchange {name} has to be {' or '.join(KINDS)}, and is {kind}.")
    return checked(NAME, name, "exchanges"), str(kind)


def _queue(name: str, row: Row) -> Queue:
    variable = checked(VARIABLE, row.take("variable"), name) if row.has("variable") else None
    bindings, former = _bindings(name, row, "bindings"), _bindings(name, row, "former")
    limit = _limit(Row(f"{name}: limit", row.take("limit"))) if row.has("limit") else None
    row.end()
    return Queue(name, variable, bindings, former, limit)


def _bindings(queue: str, row: Row, which: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (exchange, key) for exchange, keys in row.items(which) for key in _keys(queue, keys)
    )


def _limit(row: Row) -> QueueLimit:
    limit = QueueLimit(row.number("messages"), row.number("bytes"))
    row.end()
    return limit


def _keys(queue: str, keys: object) -> list[str]:
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise TopologyError(f"{queue}: bindings have to be lists of routing keys.")
    return keys


def _known(kind: str, place: str, names: Iterable[str], known: Iterable[str]) -> None:
    allowed = list(known)
    for name in names:
        if name not in allowed:
            raise TopologyError(f"{place} names the {kind} {name}; there are {', '.join(allowed)}.")


def _check(topology: Topology) -> None:
    """Check that the parts fit together. Raises TopologyError."""
    _check_roles(topology)
    _check_clusters(topology)
    _once("the process", [process.name for process in topology.processes])
    ports = [process.port.name for process in topology.processes]
    _once("the variable", [*ports, *(machine.address.name for machine in topology.machines)])
    shared = [role.shared_address.default for role in topology.roles if role.shared_address]
    addresses = [machine.address.default for machine in topology.machines]
    _once("the default address", [*addresses, *shared])
    for role in topology.roles:
        _once(
            f"on a machine of role {role.name} the port", [p.port.default for p in role.processes]
        )
    for queue in topology.queues:
        exchanges = [exchange for exchange, _key in (*queue.bindings, *queue.former)]
        _known("exchange", f"queue {queue.name}", exchanges, topology.exchanges)
    for process in topology.processes:
        queues = [queue.name for queue in topology.queues]
        _known("queue", process.name, process.consumes, queues)
        _check_consumers(process, topology)


def _check_roles(topology: Topology) -> None:
    serving = [role.name for role in topology.roles if role.server]
    for role in topology.roles:
        _known("role", f"role {role.name}: calls", role.calls, serving)
        _once(f"role {role.name}: the API", [SERVE for p in role.processes if p.is_server])
        if not topology.machines_of(role.name):
            raise TopologyError(f"no machine has the role {role.name}.")


def _check_clusters(topology: Topology) -> None:
    members = topology.machines_with(ETCD)
    if members and len(members) % 2 == 0:
        raise TopologyError("etcd has to run on an odd number of machines.")
    for role in topology.roles:
        if PATRONI in role.servers and not (role.database and members):
            raise TopologyError(f"role {role.name}: patroni needs a database, and etcd.")
        if role.shared_address and role.server is None:
            raise TopologyError(f"role {role.name}: a shared address needs a process that serves.")


def _check_consumers(process: Process, topology: Topology) -> None:
    """Processes that share a queue must share all queues: status adds up their messages."""
    for other in topology.processes:
        if set(process.consumes) & set(other.consumes) and process.consumes != other.consumes:
            raise TopologyError(
                f"{process.name} and {other.name} share a queue, and have to consume the same ones."
            )


def _once(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise TopologyError(f"{what} {name} is used twice.")
