"""What runs: PM2's processes, servers, ports, queues."""

import time

from pika.exceptions import AMQPError, ChannelClosedByBroker

from local.amqp import connect
from local.console import megabytes, table
from local.layout import PROCESSES
from local.pm2 import Entry
from local.rabbitmq import RabbitMQ
from local.stack import Stack
from provisioning.rabbitmq.definitions import DEAD_LETTERS, EVENTS_QUEUE

Row = tuple[str, ...]
NOT_FOUND = 404
HEADINGS = ("process", "state", "pid", "restarts", "memory", "up", "address", "ready")


def describe(stack: Stack) -> tuple[str, bool]:
    """The text of ./stack status, and whether all is up."""
    rows, ready = _process_rows(stack)
    servers = [_server_row(stack, name) for name in stack.servers()]
    up = ready and all(row[1] == "up" for row in servers)
    queues = _queue_rows(stack.rabbitmq)
    parts = [table([HEADINGS, *rows]), table([("server", "state", "address"), *servers])]
    parts.append(table([("queue", "waiting"), *queues]))
    return "\n\n".join(parts), up


def _process_rows(stack: Stack) -> tuple[list[Row], bool]:
    entries = stack.process_manager.entries()
    rows, up = [], True
    for process in PROCESSES:
        mine = [entry for entry in entries if entry.name == process.name]
        # whoever answers at a process's address is not it unless PM2 runs it
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
    age = f"{time.time() - entry.started:.0f} s" if online else "-"
    cells = (str(entry.pid), str(entry.restarts), megabytes(entry.memory), age)
    return (entry.name, entry.status, *cells)


def _absent(name: str, *end: str) -> Row:
    return (name, "not started", "-", "-", "-", "-", *end)


def _server_row(stack: Stack, name: str) -> Row:
    server = stack.servers()[name]
    address = f"{server.host}:{server.port}"
    if isinstance(server, RabbitMQ):
        address += f", management http://{server.host}:{server.management_port}"
    return (name, "up" if server.running() else "down", address)


def _queue_rows(rabbitmq: RabbitMQ) -> list[Row]:
    names = [n + end for n in (rabbitmq.queue, EVENTS_QUEUE) for end in ("", DEAD_LETTERS)]
    if not rabbitmq.running():
        return [(name, "unknown: RabbitMQ is down") for name in names[:-1]]
    depths = ((name, queue_depth(rabbitmq, name)) for name in names)
    return [(name, depth) for name, depth in depths if depth is not None]


def queue_depth(rabbitmq: RabbitMQ, name: str) -> str | None:
    """How many messages wait in a queue, in words if the broker does not say; None: no such queue.

    Those that a consumer has in hand are not among them.
    """
    try:
        with connect(rabbitmq) as connection:
            return str(connection.channel().queue_declare(name, passive=True).method.message_count)
    except ChannelClosedByBroker as error:
        return None if error.reply_code == NOT_FOUND else f"unknown: {error.reply_text}"
    except AMQPError as error:
        return f"unknown: {type(error).__name__}"
