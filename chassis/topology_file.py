"""Reads topology.yml; its errors name the place in the file."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from chassis import topology_yaml
from chassis.errors import SettingsError
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

FILE = Path(__file__).resolve().parent.parent / "topology.yml"
NAME, VARIABLE = re.compile(r"[a-z][a-z0-9_-]*"), re.compile(r"[A-Z][A-Z0-9_]*")
KINDS, SERVERS = ("fanout", "topic"), (RABBITMQ, REDIS, ETCD, PATRONI)
RowT = TypeVar("RowT")


class TopologyError(SettingsError):
    """An error in the file, with its place."""


class _Row:
    """A mapping in the file; keys that are never taken are errors."""

    def __init__(self, place: str, content: object) -> None:
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            raise TopologyError(f"{place} has to be a mapping of names.")
        self.place = place
        self._content = dict(content)
        self._known: dict[str, None] = {}

    def take(self, key: str, default: object = None) -> Any:
        """Return a value."""
        self._known[key] = None
        found = self._content.pop(key, None)
        if found is None and default is None:
            raise TopologyError(f"{self.place} lacks {key}.")
        return default if found is None else found

    def has(self, key: str) -> bool:
        """Return whether the row has a value."""
        self._known[key] = None
        return self._content.get(key) is not None

    def number(self, key: str) -> int:
        """Return a whole number above 0."""
        found = self.take(key)
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise TopologyError(f"{self.place}: {key} has to be a whole number above 0.")
        return found

    def flag(self, key: str) -> bool:
        """Return true or false; false if the key is missing."""
        found = self.take(key, False)
        if not isinstance(found, bool):
            raise TopologyError(f"{self.place}: {key} has to be true or false.")
        return found

    def text(self, key: str) -> str:
        """Return a name."""
        return _checked(NAME, self.take(key), f"{self.place}: {key}")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; an empty one if the key is missing."""
        found = self.take(key, [])
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise TopologyError(f"{self.place}: {key} has to be a list of names.")
        return tuple(found)

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of names of variables."""
        return tuple(_checked(VARIABLE, n, f"{self.place}: {key}") for n in self.texts(key))

    def variable(self, key: str, ending: str) -> Variable:
        """Return a variable, whose name has this ending, and its default."""
        return _variable(f"{self.place}: {key}", self.take(key), ending)

    def rows(self, key: str, make: "Callable[[str, _Row], RowT]") -> tuple[RowT, ...]:
        """Return the result of `make` for each row of a mapping."""
        return tuple(make(name, row) for name, row in self._rows(key))

    def items(self, key: str) -> Iterator[tuple[str, object]]:
        """Return the names and values of a mapping; none if the key is missing."""
        place = f"{self.place}: {key}" if self.place else key
        yield from _Row(place, self.take(key, {}))._content.items()

    def end(self) -> None:
        """Refuse keys that have not been taken. Raises TopologyError."""
        if self._content:
            unknown, known = ", ".join(self._content), ", ".join(self._known)
            place = self.place or "the file"
            raise TopologyError(f"{place} has unknown keys: {unknown}; there are {known}.")

    def _rows(self, key: str) -> "Iterator[tuple[str, _Row]]":
        for name, content in self.items(key):
            row = _Row(_checked(NAME, name, key), content)
            yield name, row


def file_of(name: str | None) -> Path:
    """Return the file that a value of `TOPOLOGY` stands for; `topology.yml` if there is none.

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
        return _topology(_Row("", topology_yaml.load(file)))
    except OSError as error:
        raise TopologyError(f"{file.name} can't be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TopologyError(f"{file.name}, line {line}: {error.problem}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopologyError(f"{file.name} is not YAML in UTF-8: {error}.") from None
    except TopologyError as error:
        raise TopologyError(f"{file.name}: {error}") from None


def _topology(file: _Row) -> Topology:
    roles = file.rows("roles", _role)
    exchanges = dict(_exchange(name, kind) for name, kind in file.items("exchanges"))
    queues = file.rows("queues", _queue)
    known = {role.name: role for role in roles}
    machines = file.rows("machines", lambda name, row: _machine(name, row, known))
    file.end()
    topology = Topology(machines, roles, exchanges, queues)
    _check(topology)
    return topology


def _role(name: str, row: _Row) -> Role:
    role = Role(
        name,
        memory=row.number("memory"),
        cpus=row.number("cpus"),
        servers=row.texts("servers"),
        entrance=row.flag("entrance"),
        watches=row.flag("watches"),
        calls=row.texts("calls"),
        database=_optional(row, "database", "_DB_NAME"),
        processes=row.rows("processes", lambda process, inner: _process(process, inner, name)),
        settings=row.names("settings"),
        optional=row.names("optional"),
        documents=row.texts("documents"),
        secrets=tuple(_secret(name, key, text) for key, text in row.items("secrets")),
        shared_address=_optional(row, "shared_address", "_VIP"),
    )
    row.end()
    _known("server", f"role {name}", role.servers, SERVERS)
    return role


def _secret(role: str, name: str, default: object) -> Variable:
    ending = "_COOKIE" if name.endswith("_COOKIE") else "_PASSWORD"
    return _variable(f"role {role}: secrets", {name: default}, ending)


def _optional(row: _Row, key: str, ending: str) -> Variable | None:
    return row.variable(key, ending) if row.has(key) else None


def _process(name: str, row: _Row, role: str) -> Process:
    process = Process(
        name, role, row.text("runs"), row.variable("port", "_PORT"), row.texts("consumes")
    )
    row.end()
    port = process.port.default
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise TopologyError(f"{name}: {process.port.name} has to be a port, 1 to 65535.")
    return process


def _machine(name: str, row: _Row, roles: dict[str, Role]) -> Machine:
    role = row.text("role")
    _known("role", name, [role], roles)
    forwarded = tuple(
        Forward(_checked(VARIABLE, guest, name), _variable(f"{name}: {guest}", host, "_PORT"))
        for guest, host in row.items("forwarded")
    )
    machine = Machine(name, roles[role], row.variable("address", "_VM_IP"), forwarded)
    row.end()
    return machine


def _exchange(name: str, kind: object) -> tuple[str, str]:
    if kind not in KINDS:
        raise TopologyError(f"exchange {name} has to be {' or '.join(KINDS)}, and is {kind}.")
    return _checked(NAME, name, "exchanges"), str(kind)


def _queue(name: str, row: _Row) -> Queue:
    variable = _checked(VARIABLE, row.take("variable"), name) if row.has("variable") else None
    bindings, former = _bindings(name, row, "bindings"), _bindings(name, row, "former")
    limit = _limit(_Row(f"{name}: limit", row.take("limit"))) if row.has("limit") else None
    row.end()
    return Queue(name, variable, bindings, former, limit)


def _bindings(queue: str, row: _Row, which: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (exchange, key) for exchange, keys in row.items(which) for key in _keys(queue, keys)
    )


def _limit(row: _Row) -> QueueLimit:
    limit = QueueLimit(row.number("messages"), row.number("bytes"))
    row.end()
    return limit


def _keys(queue: str, keys: object) -> list[str]:
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise TopologyError(f"{queue}: bindings have to be lists of routing keys.")
    return keys


def _variable(place: str, content: object, ending: str) -> Variable:
    if not isinstance(content, dict) or len(content) != 1:
        raise TopologyError(f"{place} has to be a variable with its default: {{NAME: value}}.")
    [(name, default)] = content.items()
    if not isinstance(default, str | int) or isinstance(default, bool):
        raise TopologyError(f"{place} has no default: {{{name}: value}}.")
    if not _checked(VARIABLE, name, place).endswith(ending):
        raise TopologyError(f"{place}: the name of the variable has to end with {ending}.")
    return Variable(name, str(default))


def _checked(pattern: re.Pattern[str], name: object, place: str) -> str:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise TopologyError(f"{place}: {name!r} is not a name of the form {pattern.pattern}.")
    return name


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
