"""The faults: each begins, holds, and is undone, whatever happens meanwhile."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

from tools.drills.fault_context import Scene
from tools.stack.layout import PROCESSES, SERVICES, TOPOLOGY

Fault = Callable[[Scene], None]
NAMES = tuple(process.name for process in PROCESSES)
# so many that each has its turn
KILLS = 1.5 * len(NAMES)
# clients' bills are not among them: nobody sends those again
OF_ORDERS = ("order_bills", "inventory_inbox", "orders_inbox", "billing_inbox", "mail_inbox")
CROWDED = "inventory-api"
# of the time of each other, so that reads may wait long if they have to
CROWD_TURNS = 4
FROZEN = ("orders-api", "customers-api", "billing-consumer", "orders-relay")


def consumer_stopped(scene: Scene) -> None:
    """PM2 stops billing-consumer and starts it again."""
    stop, start = scene.platform.stop_process, scene.platform.start_process
    name = "billing-consumer"
    scene.last(partial(stop, name), f"{name} is stopped", partial(start, name))


def processes_killed(scene: Scene) -> None:
    """Each process is killed with -9, at random moments, again and again."""
    each = scene.seconds / KILLS
    while True:
        for name in scene.shuffled(NAMES):
            if not scene.pause(0.2 * each, 1.8 * each):
                return
            scene.platform.kill_process(name)
            scene.note(f"{name} is killed")


def gateway_killed(scene: Scene) -> None:
    """The gateway is killed with -9 while it answers."""
    kill = partial(scene.platform.kill_process, "gateway")
    scene.repeat(kill, "the gateway is killed", 3, 6)


def server_away(scene: Scene, action: str, servers: Sequence[str]) -> None:
    """Servers go away in turn, each for its share of the time, and are started again."""
    act, share = scene.platform.act_on_server, 1 / (2 * len(servers) - 1)
    for number, name in enumerate(scene.shuffled(servers)):
        if number:
            scene.hold(share)
        begin, undo = partial(act, action, name), partial(act, "start", name)
        scene.last(begin, f"{name}: {action}", undo, share)
        scene.note(f"{name} is back")


def databases_disconnected(scene: Scene) -> None:
    """All connections to each database are terminated, again and again."""
    for service in itertools.cycle(scene.shuffled(SERVICES)):
        scene.platform.disconnect_database(service)
        scene.note(f"connections to the database of {service} are terminated")
        if not scene.pause(0.2, 1):
            return


def databases_read_only(scene: Scene) -> None:
    """Each database in turn takes no changes, as one that has failed over to a standby."""
    set_read_only, share = scene.platform.set_read_only, 1 / len(SERVICES)
    for service in scene.shuffled(SERVICES):
        begin, undo = partial(set_read_only, service, True), partial(set_read_only, service, False)
        scene.last(begin, f"the database of {service} is read-only", undo, share)


def broker_disconnected(scene: Scene) -> None:
    """All AMQP connections are closed over the management API, again and again."""
    disconnect = scene.platform.disconnect_broker
    scene.repeat(disconnect, "all connections to RabbitMQ are closed", 1, 6)


def outage_flapping(scene: Scene) -> None:
    """billing's database is away, and all AMQP connections are closed again and again."""
    try:
        scene.platform.act_on_server("stop", "postgresql-billing")
        scene.note("the database of billing is away")
        while scene.pause(0.1, 0.4):
            scene.platform.disconnect_broker()
    finally:
        scene.platform.act_on_server("start", "postgresql-billing")


def broker_alarmed(scene: Scene) -> None:
    """RabbitMQ believes that its disk is full, and blocks publishers."""
    alarm = scene.platform.alarm_broker
    scene.last(partial(alarm, True), "RabbitMQ blocks publishers", partial(alarm, False))


def queues_dead(scene: Scene) -> None:
    """RabbitMQ's queues take and give nothing, while the broker runs on; it is restarted."""
    restart = partial(scene.platform.act_on_server, "restart", "rabbitmq")
    scene.last(scene.platform.stop_queues, "all queues are dead", restart)


def bindings_removed(scene: Scene) -> None:
    """Exchanges are deleted with all their bindings, again and again; relays make them anew."""
    for exchange in itertools.cycle(scene.shuffled(tuple(TOPOLOGY.exchanges))):
        scene.platform.delete_exchange(exchange)
        scene.note(f"{exchange} is deleted, with its bindings")
        if not scene.pause(0.2, 1):
            return


def queues_purged(scene: Scene) -> None:
    """The queues between orders, inventory, billing and mails are purged, again and again."""
    try:
        for queue in itertools.cycle(scene.shuffled(OF_ORDERS)):
            scene.platform.purge(queue)
            scene.note(f"{queue} is purged")
            if not scene.pause(0.05, 0.3):
                return
    finally:
        # what orders would do by itself, some minutes later
        scene.platform.command("orders", "resend")
        # of the customers' events there is no repetition
        scene.platform.command("orders", "directory", "rebuild")


def services_frozen(scene: Scene) -> None:
    """Processes are frozen (SIGSTOP) in turn, and let go; a crowd orders without inventory."""
    freeze, thaw = scene.platform.freeze_process, scene.platform.thaw_process
    share = 1 / (len(FROZEN) + CROWD_TURNS)
    # first, so that it has its whole time
    begin, undo = partial(freeze, CROWDED), partial(thaw, CROWDED)
    scene.crowded(begin, f"{CROWDED} is frozen under a crowd", undo, CROWD_TURNS * share)
    for name in scene.shuffled(FROZEN):
        begin, undo = partial(freeze, name), partial(thaw, name)
        scene.last(begin, f"{name} is frozen", undo, share)


def pm2_frozen(scene: Scene) -> None:
    """PM2 is frozen (SIGSTOP), so that nobody reads what its processes log, and let go."""
    scene.last(scene.platform.freeze_pm2, "PM2 is frozen", scene.platform.thaw_pm2)


def all_restarted(scene: Scene) -> None:
    """Every server and every process is restarted at once."""
    scene.note("everything is restarted")
    scene.platform.restart_all()


DATABASES = tuple(f"postgresql-{service}" for service in SERVICES)
broker_stopped: Fault = partial(server_away, action="stop", servers=["rabbitmq"])
broker_killed: Fault = partial(server_away, action="kill", servers=["rabbitmq"])
databases_restarted: Fault = partial(server_away, action="restart", servers=DATABASES)
databases_killed: Fault = partial(server_away, action="kill", servers=DATABASES)
