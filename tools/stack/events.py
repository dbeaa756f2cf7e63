"""What is published to an exchange, line by line as it comes."""

import json
import os
import select
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import orjson
import requests
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from tools.stack.did_you_mean import unknown
from tools.stack.errors import StackError
from tools.stack.servers.amqp import connect
from tools.stack.servers.rabbitmq import RabbitMQ

IDLE_SECONDS = 0.5
# a reader that stops for long must not fill the broker
QUEUE = {"x-queue-type": "classic", "x-max-length": 100_000, "x-max-length-bytes": 64 * 2**20}
PREFETCH = 200
# fields of every event that do not help a reader
NOISE = ("specversion", "datacontenttype")


def follow(rabbitmq: RabbitMQ, exchange: str, routing_key: str) -> Iterator[str]:
    """What `exchange` gets from now on, a line of JSON each, without an end.

    The first line is empty, and says that all that comes will be there; so is one whenever nothing
    has come for half a second. Raises StackError when RabbitMQ is down, stops meanwhile, or has
    no such exchange.
    """
    if not rabbitmq.running():
        raise StackError("RabbitMQ does not run: ./stack up starts it.")
    try:
        # no heartbeat: a reader may pause (`| less`)
        with connect(rabbitmq, heartbeat=0) as connection:
            yield from _consume(rabbitmq, connection.channel(), exchange, routing_key)
    except AMQPError as error:
        raise StackError(f"RabbitMQ is gone: {error or type(error).__name__}.") from None


def _consume(
    rabbitmq: RabbitMQ, channel: BlockingChannel, exchange: str, routing_key: str
) -> Iterator[str]:
    # it ends with the connection
    queue = channel.queue_declare("", exclusive=True, arguments=QUEUE).method.queue
    try:
        channel.queue_bind(queue, exchange, routing_key)
    except ChannelClosedByBroker:
        raise StackError(unknown("exchange", exchange, exchanges(rabbitmq))) from None
    yield ""
    channel.basic_qos(prefetch_count=PREFETCH)
    for method, properties, body in channel.consume(queue, inactivity_timeout=IDLE_SECONDS):
        if method is None or properties is None or body is None:
            yield ""
            continue
        yield line(method.routing_key, properties, body)
        channel.basic_ack(method.delivery_tag)
    raise StackError("Somebody has deleted the temporary queue.")


def exchanges(rabbitmq: RabbitMQ) -> list[str]:
    """The durable exchanges of the vhost, but for those that each broker has.

    Raises StackError when the management API does not answer.
    """
    try:
        found = rabbitmq.ask(f"/api/exchanges/{quote(rabbitmq.vhost, safe='')}").json()
    except requests.RequestException as error:
        raise StackError(f"RabbitMQ's management API does not answer: {error}.") from None
    names = (exchange["name"] for exchange in found if exchange["durable"])
    return sorted(name for name in names if name and not name.startswith("amq."))


def line(routing_key: str, properties: BasicProperties, body: bytes) -> str:
    """A message as one line of JSON.

    Of a CloudEvent its time, routing key, type, source and data, then the rest; of anything else
    the body, as JSON or as text.
    """
    try:
        # numbers as they are written, digit by digit
        content = json.loads(body, parse_float=orjson.Fragment, parse_int=orjson.Fragment)
        return orjson.dumps(_shown(routing_key, properties, content)).decode()
    except (ValueError, TypeError, RecursionError):
        text = body.decode(errors="replace")
        return orjson.dumps(_shown(routing_key, properties, text)).decode()


def _shown(routing_key: str, properties: BasicProperties, content: Any) -> dict[str, Any]:
    if isinstance(content, dict) and "specversion" in content:
        first = {name: content.get(name) for name in ("type", "source", "data")}
        rest = {name: value for name, value in content.items() if name not in NOISE}
        return {"time": content.get("time"), "routing_key": routing_key, **first, **rest}
    sent = properties.timestamp
    time = datetime.fromtimestamp(sent, timezone.utc).isoformat() if sent else None
    named = {"time": time, "routing_key": routing_key, "id": properties.message_id}
    return {name: value for name, value in named.items() if value is not None} | {"body": content}


class Output:
    """Standard output as it is now, and whether anybody still reads it (`| head -1`)."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._poll.register(os.dup(sys.stdout.fileno()), 0)

    def is_read(self) -> bool:
        """Whether the reader is still there."""
        return not self._poll.poll(0)
