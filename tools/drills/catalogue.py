"""The list of drills; faults.py and infrastructure_faults.py have what each one breaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tools.drills import faults, infrastructure_faults
from tools.drills.faults import Fault
from tools.drills.unaffected import Unaffected
from tools.drills.workload import poison
from tools.drills.workload.history import PROMISED
from tools.drills.workload.poison import Poison
from tools.drills.workload.request_generator import ORDER_READ, READ
from tools.stack.console import table
from tools.stack.did_you_mean import unknown
from tools.stack.errors import StackError

NOTHING = Unaffected((), 0)
# if all threads waited for the service that hangs, a fifth would be answered in time
READS_OF_ORDERS = Unaffected((ORDER_READ,), 0.6)
# nobody needs the cache
CACHED = Unaffected((*PROMISED, READ), 0.9)


@dataclass(frozen=True)
class Drill:
    """A fault under traffic.

    Attributes:
        cuts_clients_off: whether unanswered requests are expected.
        poison: the messages that have to become dead letters.
        unaffected: the requests that have to be answered as usual meanwhile.
        small_disk: the server whose data are on a small file system, which is filled.
    """

    name: str
    sentence: str
    fault: Fault | None = None
    cuts_clients_off: bool = False
    poison: Sequence[Poison] = ()
    unaffected: Unaffected = NOTHING
    small_disk: str = ""


def _network(effect: str) -> Fault:
    return partial(infrastructure_faults.network_disturbed, effect=effect)


DRILLS = (
    Drill("consumer-stopped", "billing-consumer is stopped and started.", faults.consumer_stopped),
    Drill(
        "processes-killed",
        "Each process is killed with -9 at random moments, repeatedly.",
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
        "RabbitMQ believes that its disk is full, and blocks publishers.",
        faults.broker_alarmed,
    ),
    Drill(
        "broker-disconnected",
        "All connections to RabbitMQ are closed over its management API, repeatedly.",
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
        "All connections to each PostgreSQL are terminated, repeatedly.",
        faults.databases_disconnected,
    ),
    Drill(
        "database-read-only",
        "The database of each service is read-only for a while.",
        faults.databases_read_only,
        unaffected=Unaffected((READ,), 0.8),
    ),
    Drill(
        "cache-killed",
        "The gateway's Redis is killed with -9 and started.",
        faults.cache_killed,
        unaffected=CACHED,
    ),
    Drill(
        "cache-frozen",
        "The gateway's Redis is frozen (SIGSTOP) and resumed.",
        faults.cache_frozen,
        unaffected=CACHED,
    ),
    Drill(
        "cache-flushed",
        "All that the gateway's Redis holds is removed, repeatedly.",
        faults.cache_flushed,
        unaffected=CACHED,
    ),
    Drill(
        "outage-flapping",
        "billing's PostgreSQL is stopped, and meanwhile all connections to RabbitMQ are closed"
        " dozens of times: RabbitMQ counts each failed delivery.",
        faults.outage_flapping,
    ),
    Drill(
        "queues-dead",
        "RabbitMQ's queues are dead, as after a full disk, while the broker keeps running.",
        faults.queues_dead,
    ),
    Drill(
        "bindings-removed",
        "Exchanges are deleted with all their bindings, repeatedly.",
        faults.bindings_removed,
    ),
    Drill(
        "queues-purged",
        "The queues between orders, inventory, billing and mails are purged, repeatedly.",
        faults.queues_purged,
    ),
    Drill(
        "services-frozen",
        "Services are frozen (SIGSTOP) and resumed; while inventory is, a crowd orders and reads.",
        faults.services_frozen,
        unaffected=READS_OF_ORDERS,
    ),
    Drill(
        "pm2-frozen",
        "PM2 itself is frozen (SIGSTOP), and reads no log lines of its processes.",
        faults.pm2_frozen,
        unaffected=Unaffected((*PROMISED, READ), 0.9),
    ),
    Drill(
        "network-cut", "The network to inventory-api, then to RabbitMQ, is cut.", _network("cut")
    ),
    Drill("network-delayed", "The same network is slower by 300 ms.", _network("delayed")),
    Drill("network-lossy", "The same network loses 5 % of all packets.", _network("lossy")),
    Drill(
        "broker-disk-full",
        "RabbitMQ's disk is full (a small one, of a separate stack).",
        small_disk="rabbitmq",
    ),
    Drill(
        "database-disk-full",
        "The disk of billing's PostgreSQL is full (a small one, of a separate stack).",
        small_disk="postgresql-billing",
    ),
    Drill(
        "poison-flood",
        "Hundreds of messages that are not bills are published to billing_queue.",
        poison.flood,
        poison=poison.FLOOD,
    ),
    Drill(
        "poison-header",
        "Messages with unreadable headers are published to billing_queue and inventory_inbox.",
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
    """The drills of these names, or all without any. Raises StackError for an unknown name."""
    known = {drill.name: drill for drill in DRILLS}
    for name in names:
        if name not in known:
            raise StackError(unknown("drill", name, list(known), f"There are:\n{listing()}"))
    return [known[name] for name in names] or list(DRILLS)


def listing() -> str:
    """A line for each drill."""
    return table([(drill.name, drill.sentence) for drill in DRILLS])
