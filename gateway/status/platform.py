"""What there is to watch: machines, and the databases, processes and queues on them."""

from collections.abc import Iterator
from dataclasses import dataclass

BILLS = "BILLS"  # stands for the queue that RABBITMQ_QUEUE names
EVENTS_QUEUE = "events_queue"
OWN = "gateway"  # the process that watches
# the services and their PM2 processes, in the order of the picture; the first serves the API
SERVICES = {
    "gateway": ("gateway", "gateway-relay"),
    "inventory": ("inventory-api", "inventory-consumer", "inventory-relay"),
    "customers": ("customers-api", "customers-relay"),
    "orders": ("orders-api", "orders-consumer", "orders-relay", "mail-worker"),
    "billing": ("billing-api", "billing-consumer", "billing-relay"),
}
CONSUMED = {
    "inventory-consumer": ("inventory_inbox",),
    "orders-consumer": ("orders_inbox",),
    "mail-worker": ("mail_inbox",),
    "billing-consumer": (BILLS, "order_bills", "billing_inbox"),
}


@dataclass(frozen=True)
class Process:
    """A PM2 process.

    Attributes:
        name: as PM2 and the process itself have it.
        address: of its machine.
        port: where it answers `/ready` and `/metrics`; further instances take the next ports.
        queues: what it consumes.
    """

    name: str
    address: str
    port: int
    queues: tuple[str, ...] = ()

    @property
    def is_relay(self) -> bool:
        """Whether it empties an outbox."""
        return self.name.endswith("-relay")


@dataclass(frozen=True)
class Machine:
    """A machine with its one database."""

    name: str
    address: str
    database: str
    processes: tuple[Process, ...]

    @property
    def is_this(self) -> bool:
        """Whether it is the machine that everything runs on."""
        return self.address.startswith("127.")


@dataclass(frozen=True)
class Platform:
    """All machines."""

    machines: tuple[Machine, ...] = ()

    @property
    def kind(self) -> str:
        """`stack`, all of it on this machine, or `machines`."""
        return "stack" if all(machine.is_this for machine in self.machines) else "machines"

    def processes(self) -> Iterator[Process]:
        """All processes."""
        for machine in self.machines:
            yield from machine.processes

    def relays(self) -> list[Process]:
        """Those that empty an outbox."""
        return [process for process in self.processes() if process.is_relay]

    def consumers(self) -> list[Process]:
        """Those that consume queues."""
        return [process for process in self.processes() if process.queues]

    def consumed_queues(self) -> list[str]:
        """The queues that have consumers, and dead letters."""
        return [queue for process in self.consumers() for queue in process.queues]


def queues_of(process: str, bills: str) -> tuple[str, ...]:
    """Return what a process consumes; `bills` is the queue of the bills."""
    return tuple(bills if queue == BILLS else queue for queue in CONSUMED.get(process, ()))
