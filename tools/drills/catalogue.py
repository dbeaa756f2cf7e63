"""Which drills there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tools.drills import faults, infrastructure_faults
from tools.drills.faults import Fault
from tools.drills.going_on import GoingOn
from tools.drills.workload import poison
from tools.drills.workload.history import PROMISED
from tools.drills.workload.poison import Poison
from tools.drills.workload.request_generator import ORDER_READ, READ
from tools.stack.console import table
from tools.stack.errors import StackError
from tools.stack.names import unknown

NOTHING = GoingOn((), 0)
# where all threads wait for a service that hangs, a fifth is answered in time
READS_OF_ORDERS = GoingOn((ORDER_READ,), 0.6)


@dataclass(frozen=True)
class Drill:
    """A fault under traffic.

    Attributes:
        cuts_clients_off: whether requests without an answer are to be expected.
        poison: the messages that belong into dead letters.
        going_on: what has to be answered as ever meanwhile.
        small_disk: the server that is at home on a small file system, which is filled.
    """

    name: str
    sentence: str
    fault: Fault | None = None
    cuts_clients_off: bool = False
    poison: Sequence[Poison] = ()
    going_on: GoingOn = NOTHING
    small_disk: str = ""


def _network(effect: str) -> Fault:
    return partial(infrastructure_faults.network_disturbed, effect=effect)


DRILLS = (
    Drill("consumer-stopped", "billing-consumer is stopped and started.", faults.consumer_stopped),
    Drill(
        "processes-killed",
        "Each process is killed with -9 at random moments, again and again.",
        faults.processes_killed,
        cuts_clients_off=True,
    ),
    Drill(
        "gateway-killed",
        "The gateway is killed with -9 while it answers.",
        faults.gateway_killed,
        cuts_clients_off=True,
    ),
    Drill("broker-stopped", "RabbitMQ is stopped and started.", faults.broker_stopped),
    Drill("broker-killed", "RabbitMQ is killed with -9 and started.", faults.broker_killed),
    Drill(
        "broker-alarmed",
        "RabbitMQ is out of disk by its own reckoning, and blocks publishers.",
        faults.broker_alarmed,
    ),
    Drill(
        "broker-disconnected",
        "All connections to RabbitMQ are closed over its management API, again and again.",
        faults.broker_disconnected,
    ),
    Drill(
        "databases-restarted",
        "The PostgreSQL of each service is restarted.",
        faults.databases_restarted,
    ),
    Drill(
        "databases-killed",
        "The PostgreSQL of each service is killed with -9 and started.",
        faults.databases_killed,
    ),
    Drill(
        "databases-disconnected",
        "All connections to each PostgreSQL are terminated, again and again.",
        faults.databases_disconnected,
    ),
    Drill(
        "database-read-only",
        "The database of each service takes no changes for a while.",
        faults.databases_read_only,
        going_on=GoingOn((READ,), 0.8),
    ),
    Drill(
        "outage-flapping",
        "billing's PostgreSQL is away, and meanwhile all connections to RabbitMQ are closed, dozens"
        " of times: RabbitMQ counts each delivery in vain.",
        faults.outage_flapping,
    ),
    Drill(
        "queues-dead",
        "RabbitMQ's queues are dead, as after a full disk, while the broker runs on.",
        faults.queues_dead,
    ),
    Drill(
        "bindings-removed",
        "Exchanges are deleted with all their bindings, again and again.",
        faults.bindings_removed,
    ),
    Drill(
        "queues-purged",
        "The queues between orders, inventory, billing and mails are purged, again and again.",
        faults.queues_purged,
    ),
    Drill(
        "services-frozen",
        "Services are frozen (SIGSTOP) and let go; without inventory, many order, and others read.",
        faults.services_frozen,
        going_on=READS_OF_ORDERS,
    ),
    Drill(
        "pm2-frozen",
        "PM2 itself is frozen (SIGSTOP), and reads no log line of its processes.",
        faults.pm2_frozen,
        going_on=GoingOn((*PROMISED, READ), 0.9),
    ),
    Drill(
        "network-cut", "The network to inventory-api, then to RabbitMQ, is cut.", _network("cut")
    ),
    Drill("network-delayed", "It is slower by 300 ms.", _network("delayed")),
    Drill("network-lossy", "It loses 5 % of all packets.", _network("lossy")),
    Drill(
        "broker-disk-full",
        "RabbitMQ's disk is full (a small one, of a stack of its own).",
        small_disk="rabbitmq",
    ),
    Drill(
        "database-disk-full",
        "The disk of billing's PostgreSQL is full (a small one, of a stack of its own).",
        small_disk="postgresql-billing",
    ),
    Drill(
        "poison-flood",
        "Hundreds of messages that are no bills come into billing_queue.",
        poison.flood,
        poison=poison.FLOOD,
    ),
    Drill(
        "poison-header",
        "Messages with headers that are hard to read come into billing_queue and inventory_inbox.",
        poison.headers,
        poison=poison.HEADERS,
    ),
    Drill(
        "all-restarted",
        "Every server and every process is restarted at once.",
        faults.all_restarted,
        cuts_clients_off=True,
    ),
    Drill(
        "machines-halted",
        "Each machine is halted and started (with --vagrant).",
        infrastructure_faults.machines_halted,
        cuts_clients_off=True,
    ),
)


def chosen(names: Sequence[str]) -> list[Drill]:
    """The drills of these names, all of them without any. Raises StackError for a wrong one."""
    known = {drill.name: drill for drill in DRILLS}
    for name in names:
        if name not in known:
            raise StackError(unknown("drill", name, list(known), f"There are:\n{listing()}"))
    return [known[name] for name in names] or list(DRILLS)


def listing() -> str:
    """A line for each drill."""
    return table([(drill.name, drill.sentence) for drill in DRILLS])
