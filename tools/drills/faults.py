"""The faults: each begins, lasts, and is undone, whatever happens meanwhile.

Faults of machines, disks and networks are in infrastructure_faults.py.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

from tools.drills.fault_context import FaultContext
from tools.stack.layout import PROCESSES, SERVICES, TOPOLOGY

Fault = Callable[[FaultContext], None]
NAMES = tuple(process.name for process in PROCESSES)
# enough that each process is killed once at least
KILLS = 1.5 * len(NAMES)
# billing_queue is not among them: nobody sends clients' bills again
ORDER_QUEUES = ("order_bills", "inventory_inbox", "orders_inbox", "billing_inbox", "mail_inbox")
CROWDED = "inventory-api"
# as many times the share of each other one, so that slow reads have time to show
CROWD_TURNS = 4
FROZEN = ("orders-api", "customers-api", "billing-consumer", "orders-relay")


def consumer_stopped(context: FaultContext) -> None:
    """PM2 stops billing-consumer and starts it again."""
    stop, start = context.platform.stop_process, context.platform.start_process
    name = "billing-consumer"
    context.sustain(partial(stop, name), f"{name} is stopped", partial(start, name))


def processes_killed(context: FaultContext) -> None:
    """Each process is killed with -9 at random moments, repeatedly."""
    each = context.seconds / KILLS
    while True:
        for name in context.shuffled(NAMES):
            if not context.pause(0.2 * each, 1.8 * each):
                return
            context.platform.kill_process(name)
            context.note(f"{name} is killed")


def gateway_killed(context: FaultContext) -> None:
    """The gateway is killed with -9 while it answers."""
    kill = partial(context.platform.kill_process, "gateway")
    context.repeat(kill, "the gateway is killed", 3, 6)


def server_outage(context: FaultContext, action: str, servers: Sequence[str]) -> None:
    """Servers are stopped or killed in turn, each for its share of the time, and started again."""
    act, share = context.platform.act_on_server, 1 / (2 * len(servers) - 1)
    for number, name in enumerate(context.shuffled(servers)):
        if number:
            context.hold(share)
        begin, undo = partial(act, action, name), partial(act, "start", name)
        context.sustain(begin, f"{name}: {action}", undo, share)
        context.note(f"{name} is available again")


def cache_frozen(context: FaultContext) -> None:
    """Redis is frozen (SIGSTOP), so that it answers nothing, and resumed."""
    act = context.platform.act_on_server
    begin, undo = partial(act, "freeze", "redis"), partial(act, "thaw", "redis")
    context.sustain(begin, "redis is frozen", undo)


def cache_flushed(context: FaultContext) -> None:
    """All that Redis holds is removed, repeatedly."""
    flush = partial(context.platform.act_on_server, "flush", "redis")
    context.repeat(flush, "redis is flushed", 0.5, 2)


def databases_disconnected(context: FaultContext) -> None:
    """All connections to each database are terminated, repeatedly."""
    for service in itertools.cycle(context.shuffled(SERVICES)):
        context.platform.disconnect_database(service)
        context.note(f"connections to the database of {service} are terminated")
        if not context.pause(0.2, 1):
            return


def databases_read_only(context: FaultContext) -> None:
    """Each database in turn is read-only, like a standby after a failover."""
    set_read_only, share = context.platform.set_read_only, 1 / len(SERVICES)
    for service in context.shuffled(SERVICES):
        begin, undo = partial(set_read_only, service, True), partial(set_read_only, service, False)
        context.sustain(begin, f"the database of {service} is read-only", undo, share)


def broker_disconnected(context: FaultContext) -> None:
    """All AMQP connections are closed over the management API, repeatedly."""
    disconnect = context.platform.disconnect_broker
    context.repeat(disconnect, "all connections to RabbitMQ are closed", 1, 6)


def outage_flapping(context: FaultContext) -> None:
    """billing's database is stopped, and all AMQP connections are closed repeatedly."""
    try:
        context.platform.act_on_server("stop", "postgresql-billing")
        context.note("the database of billing is stopped")
        while context.pause(0.1, 0.4):
            context.platform.disconnect_broker()
    finally:
        context.platform.act_on_server("start", "postgresql-billing")


def broker_alarmed(context: FaultContext) -> None:
    """RabbitMQ believes that its disk is full, and blocks publishers."""
    alarm = context.platform.alarm_broker
    context.sustain(partial(alarm, True), "RabbitMQ blocks publishers", partial(alarm, False))


def queues_dead(context: FaultContext) -> None:
    """RabbitMQ's queues are dead while the broker keeps running; a restart ends that."""
    restart = partial(context.platform.act_on_server, "restart", "rabbitmq")
    context.sustain(context.platform.stop_queues, "all queues are dead", restart)


def bindings_removed(context: FaultContext) -> None:
    """Exchanges are deleted with all their bindings, repeatedly; relays declare them again."""
    for exchange in itertools.cycle(context.shuffled(tuple(TOPOLOGY.exchanges))):
        context.platform.delete_exchange(exchange)
        context.note(f"{exchange} is deleted, with its bindings")
        if not context.pause(0.2, 1):
            return


def queues_purged(context: FaultContext) -> None:
    """The queues between orders, inventory, billing and mails are purged, repeatedly."""
    try:
        for queue in itertools.cycle(context.shuffled(ORDER_QUEUES)):
            context.platform.purge(queue)
            context.note(f"{queue} is purged")
            if not context.pause(0.05, 0.3):
                return
    finally:
        # orders would do this by itself, some minutes later
        context.platform.command("orders", "resend")
        # nothing sends the customers' events again
        context.platform.command("orders", "directory", "rebuild")


def services_frozen(context: FaultContext) -> None:
    """Processes are frozen (SIGSTOP) in turn, and resumed; a crowd orders while inventory is."""
    freeze, thaw = context.platform.freeze_process, context.platform.thaw_process
    share = 1 / (len(FROZEN) + CROWD_TURNS)
    # first, so that it gets its full time
    begin, undo = partial(freeze, CROWDED), partial(thaw, CROWDED)
    context.sustain_with_crowd(
        begin, f"{CROWDED} is frozen under a crowd", undo, CROWD_TURNS * share
    )
    for name in context.shuffled(FROZEN):
        begin, undo = partial(freeze, name), partial(thaw, name)
        context.sustain(begin, f"{name} is frozen", undo, share)


def pm2_frozen(context: FaultContext) -> None:
    """PM2 is frozen (SIGSTOP), so that nobody reads its processes' logs, and resumed."""
    context.sustain(context.platform.freeze_pm2, "PM2 is frozen", context.platform.thaw_pm2)


def all_restarted(context: FaultContext) -> None:
    """Every server and every process is restarted at once."""
    context.note("everything is restarted")
    context.platform.restart_all()


DATABASES = tuple(f"postgresql-{service}" for service in SERVICES)
broker_stopped: Fault = partial(server_outage, action="stop", servers=["rabbitmq"])
broker_killed: Fault = partial(server_outage, action="kill", servers=["rabbitmq"])
cache_killed: Fault = partial(server_outage, action="kill", servers=["redis"])
databases_restarted: Fault = partial(server_outage, action="restart", servers=DATABASES)
databases_killed: Fault = partial(server_outage, action="kill", servers=DATABASES)
