"""What runs: PM2's processes, servers, ports, queues."""

import time
from collections.abc import Sequence

from pika import BlockingConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker

from chassis.durations import duration
from provisioning.rabbitmq.definitions import DEAD_LETTERS, consumed_queues, unconsumed
from provisioning.rabbitmq.former_queues import former_queues, warnings
from provisioning.rabbitmq.queues import listing_path
from tools.stack.console import megabytes, state, table
from tools.stack.layout import PROCESSES
from tools.stack.pm2 import Entry
from tools.stack.servers.amqp import connect
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.servers.redis import Redis
from tools.stack.stack import Server, Stack

Row = tuple[str, ...]
NOT_FOUND = 404
HEADINGS = ("process", "state", "pid", "restarts", "memory", "up", "address", "ready")


def describe(stack: Stack) -> tuple[str, bool]:
    """The text of ./stack status, for `show`, and whether all is up."""
    rows, ready = _process_rows(stack)
    servers = [_server_row(stack, name) for name in stack.servers()]
    up = ready and all(row[1] == "up" for row in servers)
    queues = _queue_rows(stack.rabbitmq)
    tables = ([HEADINGS, *rows], [("server", "state", "address"), *servers])
    parts = [table(one, state) for one in (*tables, [("queue", "waiting"), *queues])]
    return "\n\n".join(parts), up


def _process_rows(stack: Stack) -> tuple[list[Row], bool]:
    entries = stack.process_manager.entries()
    rows, up = [], True
    for process in PROCESSES:
        mine = [entry for entry in entries if entry.name == process.name]
        # an answer at the process's address comes from another program unless PM2 runs the process
        online = any(entry.status == "online" for entry in mine)
        ready = online and stack.is_ready(process)
        up = up and ready and all(entry.status == "online" for entry in mine)
        rows += _rows_of(mine, ready, stack.address(process)) or [
            _absent(process.name, stack.address(process), "no")
        ]
    return rows, up


def _rows_of(entries: list[Entry], ready: bool, address: str) -> list[Row]:
    return [
        (*_entry_cells(entry), address, "yes" if ready and entry.status == "online" else "no")
        for entry in entries
    ]


def _entry_cells(entry: Entry) -> Row:
    online = entry.status == "online"
    age = duration(time.time() - entry.started) if online else "-"
    cells = (str(entry.pid), str(entry.restarts), megabytes(entry.memory), age)
    return (entry.name, entry.status, *cells)


def _absent(name: str, *end: str) -> Row:
    return (name, "not started", "-", "-", "-", "-", *end)


def _server_row(stack: Stack, name: str) -> Row:
    server = stack.servers()[name]
    address = server.address if isinstance(server, Redis) else f"{server.host}:{server.port}"
    if isinstance(server, RabbitMQ):
        address += f", management http://{server.host}:{server.management_port}"
    return (name, _state(server), address)


def _state(server: Server) -> str:
    if not server.running():
        return "down"
    if isinstance(server, RabbitMQ) and server.dead_queues() != []:
        return "up, but queues are dead or the vhost is gone: ./stack up restarts it"
    return "up"


def _queue_rows(rabbitmq: RabbitMQ) -> list[Row]:
    consumed = consumed_queues(rabbitmq.queue)
    others = [queue.name for queue in unconsumed()]
    if not rabbitmq.running():
        return [(name, "unknown: RabbitMQ is down") for name in (*consumed, *others)]
    dead = [name + DEAD_LETTERS for name in consumed]
    depths = queue_depths(rabbitmq, [*consumed, *others, *dead])
    depths |= {name: "dead" for name in rabbitmq.dead_queues() or () if name in depths}
    # of a queue that is as it should be one line is enough
    shown = {name: depth for name, depth in depths.items() if name not in dead or depth != "0"}
    return list(shown.items())


def stranded(rabbitmq: RabbitMQ) -> list[str]:
    """What waits in queues of a former RABBITMQ_QUEUE, and how to move it, in sentences."""
    there = [queue["name"] for queue in rabbitmq.ask(listing_path(rabbitmq.vhost)).json()]
    former = former_queues(there, rabbitmq.queue)
    if not former:
        return []
    depths = queue_depths(rabbitmq, [name + end for name in former for end in ("", DEAD_LETTERS)])
    known = {name: int(depth) for name, depth in depths.items() if depth.isdigit()}
    counted = dict.fromkeys(there, 0) | known
    return warnings(counted, rabbitmq.queue, "./stack run billing")


def queue_depths(rabbitmq: RabbitMQ, names: Sequence[str]) -> dict[str, str]:
    """How many messages wait in each queue, in words if the broker does not say.

    Those that a consumer has in hand are not among them; a queue that is not there is not, either.
    """
    try:
        with connect(rabbitmq) as connection:
            depths = {name: _depth(connection, name) for name in names}
    except AMQPError as error:
        return dict.fromkeys(names, f"unknown: {type(error).__name__}")
    return {name: depth for name, depth in depths.items() if depth is not None}


def _depth(connection: BlockingConnection, name: str) -> str | None:
    # a channel of its own, since an error closes it
    channel = connection.channel()
    try:
        return str(channel.queue_declare(name, passive=True).method.message_count)
    except ChannelClosedByBroker as error:
        return None if error.reply_code == NOT_FOUND else f"unknown: {error.reply_text}"
