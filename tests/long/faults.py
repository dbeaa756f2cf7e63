"""Faults of a real stack: each holds for a block, and is undone after it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial

import requests
from pika.exceptions import NackError

from tests.long.prometheus import Alert
from tests.support.at_work import at_work
from tests.support.stack.orders import Orders
from tools.drills.messages import Message
from tools.drills.targets.stack_platform import StackPlatform
from tools.stack import lifecycle, processes
from tools.stack.servers.amqp import connect as connect_to_broker
from tools.stack.servers.databases import connect
from tools.stack.stack import Stack
from tools.stack.status import queue_depths
from tools.stack.waiting import wait_until

CONSUMER, INVENTORY = "billing-consumer", "inventory-consumer"
BILLS, DEAD = "billing_queue", "billing_queue.dlq"
OUTAGE = ("GatewayErrors", "GatewaySlow", "OrdersResent")
SECONDS = 60.0
Block = AbstractContextManager[None]


class Scene:
    """A stack to be broken."""

    def __init__(self, stack: Stack, orders: Orders) -> None:
        self.stack = stack
        self.orders = orders
        self.platform = StackPlatform(stack)


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: what it is.
        begin: makes it, and undoes it at the end of the block.
        alerts: all that have to fire.
        others: the names of those that may fire, too.
    """

    name: str
    begin: Callable[[Scene], Block]
    alerts: tuple[Alert, ...]
    others: tuple[str, ...] = OUTAGE


@contextmanager
def stopped(scene: Scene, name: str) -> Iterator[None]:
    """PM2 has stopped a process."""
    scene.platform.stop_process(name)
    try:
        yield
    finally:
        scene.platform.start_process(name)


@contextmanager
def frozen(scene: Scene, name: str) -> Iterator[None]:
    """A process is frozen."""
    scene.platform.freeze_process(name)
    try:
        yield
    finally:
        scene.platform.thaw_process(name)


@contextmanager
def queues_dead(scene: Scene) -> Iterator[None]:
    """RabbitMQ's queues are dead."""
    scene.platform.stop_queues()
    try:
        yield
    finally:
        scene.platform.act_on_server("restart", "rabbitmq")


@contextmanager
def server_stopped(scene: Scene, name: str) -> Iterator[None]:
    """A server does not run."""
    scene.platform.act_on_server("stop", name)
    try:
        yield
    finally:
        scene.platform.act_on_server("start", name)


@contextmanager
def read_only(scene: Scene, service: str) -> Iterator[None]:
    """A database takes no change."""
    name = scene.stack.variables[f"{service.upper()}_DB_NAME"]
    statement = f'ALTER DATABASE "{name}" SET default_transaction_read_only'
    _execute(scene.stack, service, f"{statement} = on")
    scene.platform.disconnect_database(service)
    try:
        yield
    finally:
        _execute(scene.stack, service, f"{statement} = off")
        scene.platform.disconnect_database(service)


def _execute(stack: Stack, service: str, statement: str) -> None:
    with closing(connect(stack, service)) as connection:
        connection.set_session(readonly=False, autocommit=True)
        connection.cursor().execute(statement)


@contextmanager
def locked(scene: Scene, service: str, statement: str) -> Iterator[None]:
    """Somebody holds a lock in a service's database."""
    with closing(connect(scene.stack, service)) as connection:
        connection.cursor().execute(statement)
        yield
        connection.rollback()


@contextmanager
def unbound(scene: Scene) -> Iterator[None]:
    """Somebody removes again and again what binds inventory's queue to the orders' events."""

    def unbind(stop: threading.Event) -> None:
        with closing(connect_to_broker(scene.stack.rabbitmq, heartbeat=0)) as connection:
            channel = connection.channel()
            while not stop.wait(0.05):
                for key in ("order.created", "order.cancelled", "order.completed"):
                    channel.queue_unbind("inventory_inbox", "order_events", key)

    with at_work(unbind):
        yield


@contextmanager
def exchange_deleted(scene: Scene) -> Iterator[None]:
    """Somebody deletes the exchange of the orders' events, again and again."""

    def delete(stop: threading.Event) -> None:
        while not stop.wait(0.05):
            scene.platform.delete_exchange("order_events")

    with at_work(delete):
        yield


@contextmanager
def poisoned(scene: Scene) -> Iterator[None]:
    """A bill can't be read; it is discarded in the end."""
    scene.platform.publish([Message(BILLS, "poison", b"no bill")])
    try:
        yield
    finally:
        scene.platform.command("billing", "dlq", "discard", "--all")


@contextmanager
def dead_letters_refused(scene: Scene) -> Iterator[None]:
    """A bill can't be read, and its dead-letter queue is full."""
    rabbitmq = scene.stack.rabbitmq
    place = ("-p", rabbitmq.vhost)
    limit = json.dumps({"max-length": 1, "overflow": "reject-publish"})
    options = ("--apply-to", "queues", "--priority", "9")
    rabbitmq.control("set_policy", *place, *options, "full", "^billing_queue[.]dlq$", limit)
    try:
        wait_until(lambda: _is_full(scene.stack), SECONDS, "the dead-letter queue to be full")
        scene.platform.publish([Message(BILLS, "poison", b"no bill")])
        yield
    finally:
        rabbitmq.control("clear_policy", *place, "full")
        wait_until(lambda: _held(scene.stack) == 0, 2 * SECONDS, "the dead letter to be taken")
        scene.platform.command("billing", "dlq", "discard", "--all")


def _is_full(stack: Stack) -> bool:
    with closing(connect_to_broker(stack.rabbitmq)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        try:
            channel.basic_publish("", DEAD, b"fills it")
        except NackError:
            return True
        return False


def _held(stack: Stack) -> float:
    url = f"http://{stack.variables['BILLING_BIND']}:{stack.variables['BILLING_CONSUMER_PORT']}"
    lines = requests.get(f"{url}/metrics", timeout=20).text.splitlines()
    series = f'dead_letters_held{{queue="{BILLS}"}}'
    [value] = [line.split()[-1] for line in lines if line.startswith(series)]
    return float(value)


@contextmanager
def pm2_frozen(scene: Scene) -> Iterator[None]:
    """PM2 reads no log line, while many requests are logged."""
    daemon = scene.stack.process_manager.daemon()
    assert daemon is not None
    processes.freeze([daemon])
    try:
        with at_work(*[lambda stop: _read_movies(scene.stack, stop)] * 8):
            yield
    finally:
        processes.thaw([daemon])


def _read_movies(stack: Stack, stop: threading.Event) -> None:
    with requests.Session() as session:
        while not stop.is_set():
            session.get(f"{stack.url}/api/movies?limit=1", timeout=20)


@contextmanager
def queue_renamed(scene: Scene) -> Iterator[None]:
    """RABBITMQ_QUEUE was changed while bills waited; they are moved in the end."""
    with stopped(scene, CONSUMER):
        wait_until(lambda: _waiting(scene.stack) > 0, SECONDS, "bills to wait")
        renamed = scene.stack.variables | {"RABBITMQ_QUEUE": "invoices"}
        lifecycle.up(Stack(scene.stack.home, renamed))
    yield
    scene.platform.command("billing", "drain", BILLS)


def _waiting(stack: Stack) -> int:
    depth = queue_depths(stack.rabbitmq, [BILLS])[BILLS]
    return int(depth) if depth.isdigit() else 0


@contextmanager
def product_locked(scene: Scene) -> Iterator[None]:
    """Somebody holds the lock of a product that is ordered."""
    product = scene.orders.make_product()
    with locked(scene, "inventory", f"SELECT 1 FROM products WHERE id = {product} FOR UPDATE"):
        wait_until(lambda: scene.orders.post((product, 1)).ok, SECONDS, "the order to be taken")
        yield


FAULTS = (
    Fault("consumer stopped", partial(stopped, name=CONSUMER), (Alert("ProcessDown", CONSUMER),)),
    Fault(
        "consumer frozen",
        partial(frozen, name=CONSUMER),
        (Alert("ProcessDown", CONSUMER),),
        (*OUTAGE, "OrdersStuck"),
    ),
    Fault(
        "queues dead",
        queues_dead,
        (Alert("ProcessNotReady", CONSUMER), Alert("OutboxLag", "orders-relay")),
        (*OUTAGE, "OrdersStuck", "ConsumerStuck", "ProcessDown"),
    ),
    Fault(
        "broker stopped",
        partial(server_stopped, name="rabbitmq"),
        (Alert("ProcessNotReady", CONSUMER), Alert("OutboxLag", "gateway-relay")),
        (*OUTAGE, "OrdersStuck"),
    ),
    Fault(
        "database stopped",
        partial(server_stopped, name="postgresql-billing"),
        (Alert("ProcessNotReady", CONSUMER),),
        (*OUTAGE, "OrdersStuck", "ConsumerStuck"),
    ),
    Fault(
        "database read-only",
        partial(read_only, service="billing"),
        (Alert("ConsumerStuck", BILLS),),
        (*OUTAGE, "OrdersStuck", "ProcessNotReady", "RetentionFails"),
    ),
    Fault(
        "binding removed",
        # mails' queue still takes the event, so it counts as delivered
        unbound,
        (Alert("OrdersResent", ""),),
        (*OUTAGE, "OrdersStuck"),
    ),
    Fault(
        "exchange deleted",
        exchange_deleted,
        (Alert("OutboxLag", "orders-relay"),),
        (*OUTAGE, "OrdersStuck", "ProcessNotReady"),
    ),
    Fault("poison message", poisoned, (Alert("DeadLetters", BILLS),)),
    Fault(
        "dead-letter queue full",
        dead_letters_refused,
        (Alert("DeadLettersHeld", BILLS),),
        (*OUTAGE, "DeadLetters"),
    ),
    Fault(
        "outbox locked",
        partial(locked, service="orders", statement="LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE"),
        (Alert("ProcessNotReady", "orders-relay"),),
        (*OUTAGE, "OrdersStuck", "ConsumerStuck", "OutboxLag"),
    ),
    Fault(
        "row locked",
        product_locked,
        (Alert("OrdersStuck", ""),),
    ),
    Fault(
        "orders stuck",
        partial(stopped, name=INVENTORY),
        (Alert("ProcessDown", INVENTORY), Alert("OrdersStuck", "")),
    ),
    Fault("PM2 frozen", pm2_frozen, (Alert("LogLinesDropped", "gateway"),)),
    # the last: the stack has another queue from then on
    Fault(
        "former queue stranded",
        queue_renamed,
        (Alert("MessagesStranded", BILLS),),
        (*OUTAGE, "OrdersStuck", "ProcessDown", "ProcessNotReady", "OutboxLag"),
    ),
)
