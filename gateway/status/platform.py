"""What there is to watch: machines, and the databases, processes and queues on them."""

from collections.abc import Iterator
from dataclasses import dataclass

from chassis.topology import RABBITMQ


@dataclass(frozen=True)
class Process:
    """A PM2 process on one machine.

    Attributes:
        name: as PM2 and the process itself have it.
        address: of its machine.
        port: where it answers `/ready` and `/metrics`; further instances take the next ports.
        queues: what it consumes.
        kind: `server`, `relay`, `consumer` or `worker`.
    """

    name: str
    address: str
    port: int
    queues: tuple[str, ...] = ()
    kind: str = "server"

    @property
    def key(self) -> str:
        """Its unique key: several machines may have a process with its name."""
        return f"{self.name} at {self.address}:{self.port}"


@dataclass(frozen=True)
class Machine:
    """A machine with its database, if it has one."""

    name: str
    address: str
    database: str | None
    processes: tuple[Process, ...]
    role: str = ""
    servers: tuple[str, ...] = ()
    is_entrance: bool = False

    @property
    def is_this(self) -> bool:
        """Whether it is the machine that everything runs on."""
        return self.address.startswith("127.")


@dataclass(frozen=True)
class Consumers:
    """The processes that consume the same queues; what they have in hand is counted together."""

    queues: tuple[str, ...]
    processes: tuple[Process, ...]

    @property
    def key(self) -> str:
        """Their unique key."""
        return " ".join(self.queues)


@dataclass(frozen=True)
class Platform:
    """All machines.

    Attributes:
        others: the queues that none of our processes consumes.
        own: the key of the process that watches, which does not ask itself over HTTP.
    """

    machines: tuple[Machine, ...] = ()
    others: tuple[str, ...] = ()
    own: str | None = None

    @property
    def kind(self) -> str:
        """`stack`, all of it on this machine, or `machines`."""
        return "stack" if all(machine.is_this for machine in self.machines) else "machines"

    @property
    def broker_machine(self) -> str | None:
        """The name of the machine that runs RabbitMQ, if one does."""
        names = (machine.name for machine in self.machines if RABBITMQ in machine.servers)
        return next(names, None)

    def processes(self) -> Iterator[Process]:
        """All processes."""
        for machine in self.machines:
            yield from machine.processes

    def relays(self) -> list[Process]:
        """Those that empty an outbox."""
        return [process for process in self.processes() if process.kind == "relay"]

    def consumers(self) -> list[Consumers]:
        """Those that consume queues, and together the same."""
        together: dict[tuple[str, ...], list[Process]] = {}
        for process in self.processes():
            if process.queues:
                together.setdefault(process.queues, []).append(process)
        return [Consumers(queues, tuple(each)) for queues, each in together.items()]

    def consumed_queues(self) -> list[str]:
        """The queues that have consumers, and dead letters."""
        return [queue for consumers in self.consumers() for queue in consumers.queues]
