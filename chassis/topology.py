"""What topology.yml describes: machines, roles, processes, ports, databases, queues, calls.

chassis.topology_file reads it. Provisioning imports both with the system's Python, so they need
PyYAML only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from chassis.errors import SettingsError

SERVE, RELAY = "serve", "relay"
RABBITMQ, REDIS, ETCD, PATRONI = "rabbitmq", "redis", "etcd", "patroni"


@dataclass(frozen=True)
class Variable:
    """A variable and its default."""

    name: str
    default: str


@dataclass(frozen=True)
class Process:
    """A PM2 process.

    Attributes:
        name: as PM2 and the process itself have it.
        service: its package, which is called as the role.
        runs: the command of the package that it runs.
        port: where it answers `/ready` and `/metrics`; further instances take the next ports.
        consumes: the queues that it consumes, by their names in topology.yml.
    """

    name: str
    service: str
    runs: str
    port: Variable
    consumes: tuple[str, ...]

    @property
    def port_variable(self) -> str:
        """The variable that holds its port."""
        return self.port.name

    @property
    def bind_variable(self) -> str:
        """The variable that holds the address it listens on."""
        return f"{self.service.upper()}_BIND"

    @property
    def kind(self) -> str:
        """`server` of an API, `relay` of an outbox, `consumer` of queues, or other `worker`."""
        if self.runs in (SERVE, RELAY):
            return "server" if self.runs == SERVE else "relay"
        return "consumer" if self.consumes else "worker"

    @property
    def prefix(self) -> str:
        """What precedes `PORT` in the variable of its port."""
        return self.port.name.removesuffix("PORT")

    @property
    def is_server(self) -> bool:
        """Whether it serves the API of its service."""
        return self.runs == SERVE


@dataclass(frozen=True)
class Role:
    """What a machine runs.

    Attributes:
        memory: in MB.
        servers: `rabbitmq`, `redis` and `etcd` run beside PostgreSQL; `patroni` runs PostgreSQL.
        entrance: whether its API is public.
        watches: whether it checks the health of all processes.
        calls: the roles whose API it calls.
        database: the variable of its database's name.
        settings: required variables besides those that follow from the rest.
        optional: variables that it can do without.
        documents: files beside its package that it serves.
        secrets: the variables of passwords that its servers need.
        shared_address: the variable of the address that one of its machines holds at a time.
    """

    name: str
    memory: int
    cpus: int
    servers: tuple[str, ...]
    entrance: bool
    watches: bool
    calls: tuple[str, ...]
    database: Variable | None
    processes: tuple[Process, ...]
    settings: tuple[str, ...]
    optional: tuple[str, ...]
    documents: tuple[str, ...]
    secrets: tuple[Variable, ...] = ()
    shared_address: Variable | None = None

    @property
    def server(self) -> Process | None:
        """The process that serves its API."""
        return next((process for process in self.processes if process.is_server), None)

    @property
    def database_prefix(self) -> str:
        """What precedes `NAME`, `USER` and `PASSWORD` in the variables of its database."""
        return self.database.name.removesuffix("NAME") if self.database else ""

    @property
    def workers(self) -> tuple[Process, ...]:
        """The processes without an API."""
        return tuple(process for process in self.processes if not process.is_server)


@dataclass(frozen=True)
class Forward:
    """A port of this computer that leads to a port of a machine; `guest` is the latter's variable.

    Attributes:
        host: the variable of the port of this computer.
    """

    guest: str
    host: Variable


@dataclass(frozen=True)
class Machine:
    """A machine, with the variable that holds its address in the private network."""

    name: str
    role: Role
    address: Variable
    forwarded: tuple[Forward, ...]

    @property
    def prefix(self) -> str:
        """What precedes `VM_IP` in the variable of its address."""
        return self.address.name.removesuffix("VM_IP")


@dataclass(frozen=True)
class QueueLimit:
    """How much a queue keeps at most; the oldest messages are dropped first."""

    messages: int
    bytes: int


@dataclass(frozen=True)
class Queue:
    """A queue of RabbitMQ.

    Attributes:
        variable: the variable of its name; None if the name is fixed.
        bindings: exchange and routing key of each binding.
        former: the same of bindings that an earlier version had, which are removed.
        limit: its limit; None without one.
    """

    name: str
    variable: str | None
    bindings: tuple[tuple[str, str], ...]
    former: tuple[tuple[str, str], ...]
    limit: QueueLimit | None

    def named(self, values: Mapping[str, str]) -> str:
        """Return its name by these variables. Raises KeyError naming a missing one."""
        return values[self.variable] if self.variable else self.name


RowT = TypeVar("RowT", Machine, Role, Process, Queue)


def _named(kind: str, rows: Iterable[RowT], name: str) -> RowT:
    for row in rows:
        if row.name == name:
            return row
    raise SettingsError(f"topology.yml has no {kind} {name}")


@dataclass(frozen=True)
class Topology:
    """All of it; `exchanges` are the kinds of RabbitMQ's exchanges by their names."""

    machines: tuple[Machine, ...]
    roles: tuple[Role, ...]
    exchanges: Mapping[str, str]
    queues: tuple[Queue, ...]

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        """The processes of all roles."""
        return tuple(process for role in self.roles for process in role.processes)

    @cached_property
    def services(self) -> tuple[str, ...]:
        """The packages that have processes; each has the name of its role."""
        return tuple(role.name for role in self.roles if role.processes)

    @cached_property
    def consumed(self) -> tuple[Queue, ...]:
        """The queues that processes consume, which therefore have dead-letter queues."""
        names = {name for process in self.processes for name in process.consumes}
        return tuple(queue for queue in self.queues if queue.name in names)

    def machine(self, name: str) -> Machine:
        """Return the machine of that name. Raises SettingsError."""
        return _named("machine", self.machines, name)

    def role(self, name: str) -> Role:
        """Return the role of that name. Raises SettingsError."""
        return _named("role", self.roles, name)

    def process(self, name: str) -> Process:
        """Return the process of that name. Raises SettingsError."""
        return _named("process", self.processes, name)

    def queue(self, name: str) -> Queue:
        """Return the queue of that name. Raises SettingsError."""
        return _named("queue", self.queues, name)

    def machines_of(self, *roles: str) -> tuple[Machine, ...]:
        """Return the machines of these roles."""
        return tuple(machine for machine in self.machines if machine.role.name in roles)

    def machines_with(self, server: str) -> tuple[Machine, ...]:
        """Return the machines that run a server, such as `rabbitmq`."""
        return tuple(machine for machine in self.machines if server in machine.role.servers)

    def peers_of(self, machine: Machine) -> tuple[Machine, ...]:
        """Return the other machines of a machine's role."""
        return tuple(m for m in self.machines_of(machine.role.name) if m.name != machine.name)

    def callers_of(self, role: str) -> tuple[Machine, ...]:
        """Return the machines that call a role's API."""
        return tuple(machine for machine in self.machines if role in machine.role.calls)

    def watchers(self) -> tuple[Machine, ...]:
        """Return the machines that check the health of all processes."""
        return tuple(machine for machine in self.machines if machine.role.watches)

    def defaults(self) -> dict[str, str]:
        """Return the variables that are named here, with their defaults."""
        variables = [machine.address for machine in self.machines]
        variables += [f.host for machine in self.machines for f in machine.forwarded]
        variables += [secret for role in self.roles for secret in role.secrets]
        variables += [role.shared_address for role in self.roles if role.shared_address]
        variables += [process.port for process in self.processes]
        variables += [role.database for role in self.roles if role.database]
        queues = {q.variable: q.name for q in self.queues if q.variable}
        return {variable.name: variable.default for variable in variables} | queues
