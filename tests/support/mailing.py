"""Helpers for the tests of mails and of the customer replica."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pika
from click.testing import CliRunner
from flask import Flask
from pika.adapters.blocking_connection import BlockingChannel
from werkzeug.serving import make_server

from chassis.messaging import cloudevents
from chassis.messaging.delivery import Delivery
from chassis.messaging.event_handler import EventHandler
from chassis.settings import BrokerSettings
from orders.__main__ import commands
from orders.settings import Settings
from tests.support.amqp import connect
from tests.support.process import Process, environment
from tools.stack.waiting import wait_until

SECONDS = 90.0
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)


@contextmanager
def served(app: Flask, port: int) -> Iterator[None]:
    """Serve an application on a port of 127.0.0.1."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    # how often it checks whether to stop: every half second by default
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def received(handler: EventHandler, type: str, data: Any, second: int | None = None) -> Any:
    """Return an event as the handler receives it.

    Args:
        handler: the handler that will apply it.
        type: the event's type.
        data: the event's data.
        second: its time, in seconds since the beginning of 2026; now by default.
    """
    time = None if second is None else EPOCH + timedelta(seconds=second)
    message = cloudevents.event("", type, "test", data, time=time)
    properties = pika.BasicProperties(message_id=message.id, headers=dict(message.headers))
    # the handler reads only the body and the headers
    channel: Any = None
    return handler.parse(Delivery(channel, 1, message.body, properties))


def order_data(**changed: Any) -> dict[str, Any]:
    """The data of an order's event."""
    uid = changed.pop("uid", uuid4())
    return {
        "uid": str(uid),
        "id": 1,
        "order_id": "CMD001",
        "customer_id": "1",
        "email": "ben@kawa.fr",
        "status": "pending",
        "total": Decimal("25.00"),
        "lines": [
            {"product_id": 1, "name": "Metropolis", "quantity": 2, "unit_price": Decimal("12.50")}
        ],
        "reason": None,
        "timestamp": "2026-01-01T00:00:00Z",
        **changed,
    }


@contextmanager
def channel_of(settings: BrokerSettings) -> Iterator[BlockingChannel]:
    """Lend a channel beside the service's, with publisher confirms."""
    with connect(settings) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def publish(channel: BlockingChannel, type: str, data: Any, id: UUID | None = None) -> None:
    """Publish an event of an order, as orders-relay does."""
    message = cloudevents.event("order_events", type, "orders-api", data, id=id)
    properties = pika.BasicProperties(
        message_id=message.id, headers=dict(message.headers), content_type=message.content_type
    )
    channel.basic_publish("order_events", type, message.body, properties)


def variables_of(settings: Settings, home: Path, **more: str) -> dict[str, str]:
    """The variables of the processes and commands of orders."""
    return environment(
        "orders",
        settings,
        home,
        ORDERS_API_PORT=settings.port.port,
        ORDERS_CONSUMER_PORT=settings.consumer_port.port,
        ORDERS_RELAY_PORT=settings.relay_port.port,
        MAIL_WORKER_PORT=settings.mail_port.port,
        INVENTORY_VM_IP=settings.inventory.host,
        INVENTORY_API_PORT=settings.inventory.port,
        CUSTOMERS_VM_IP=settings.customers.host,
        CUSTOMERS_API_PORT=settings.customers.port,
        MAIL_DIR=settings.mail.mail_dir,
        **more,
    )


def worker_process(settings: Settings, home: Path, **more: str) -> Process:
    """A mail-worker, not started yet."""
    variables, port = variables_of(settings, home, **more), settings.mail_port.port
    return Process("orders", "mail-worker", variables, home, port)


def run_command(settings: Settings, home: Path, *arguments: str, **variables: str) -> str:
    """Run a command of orders to its end; return its output and its exit status."""
    env = variables_of(settings, home, **variables)
    done = CliRunner().invoke(commands, arguments, env=env)
    return f"{done.stdout}{done.stderr}status {done.exit_code}\n"


def eventually(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Wait for a condition, long enough for a busy machine."""
    wait_until(condition, seconds, what)
