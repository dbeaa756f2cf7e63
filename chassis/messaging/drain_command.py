"""`drain QUEUE`: moves messages from a queue with a former name into the current one.

A service consumes the queue that its settings name. After the name was changed, older messages stay
in the old queue, and their dead letters in the old dead-letter queue.
"""

from collections.abc import Callable

import click
import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from chassis.cli import Command, echo
from chassis.messaging import broker
from chassis.messaging.declarations import dead_letter_queue
from chassis.messaging.delivery import COUNTS
from chassis.settings import BrokerSettings

_BLOCKED_SECONDS = 5  # that a broker may block publishers before the command gives up
_NOT_FOUND = 404


def command(settings: Callable[[], BrokerSettings]) -> click.Command:
    """Return the command `drain`; `settings` reads the broker and the current queue."""

    @click.command(cls=Command, example="{} bills")
    @click.argument("queue")
    def drain(queue: str) -> None:
        """Move the messages of QUEUE, a former name of the service's queue, into the current queue.

        Ids stay, so nothing is done twice. Dead letters become dead letters of the current queue.
        """
        echo(f"moved {drain_queue(settings(), queue)}")

    return drain


def drain_queue(settings: BrokerSettings, former: str) -> int:
    """Move all messages of the queue `former`, and its dead letters; return how many.

    Each is published, confirmed, then acknowledged: an interruption loses nothing.

    Raises:
        click.ClickException: the queue does not exist or has a consumer, or RabbitMQ fails.
    """
    if former == settings.queue:
        raise click.ClickException(f"{former} is the current queue")
    try:
        with pika.BlockingConnection(
            broker.parameters(settings, "drain", _BLOCKED_SECONDS)
        ) as connection:
            _check_former(connection, former)
            dead = dead_letter_queue
            moved = _move(connection.channel(), former, settings.queue)
            if _consumers(connection, dead(former)) is not None:
                moved += _move(connection.channel(), dead(former), dead(settings.queue))
            return moved
    except AMQPError as error:
        raise click.ClickException(broker.failure(error, settings)) from None


def _check_former(connection: pika.BlockingConnection, queue: str) -> None:
    consumers = _consumers(connection, queue)
    if consumers is None:
        raise click.ClickException(f"there is no queue {queue}")
    if consumers:
        raise click.ClickException(f"{queue} has a consumer: it is in use")


def _consumers(connection: pika.BlockingConnection, queue: str) -> int | None:
    """Return how many consumers a queue has, or None if the queue does not exist."""
    try:
        declared = connection.channel().queue_declare(queue, passive=True)
    except ChannelClosedByBroker as error:
        if error.reply_code == _NOT_FOUND:
            return None
        raise
    return int(declared.method.consumer_count)


def _move(channel: BlockingChannel, source: str, target: str) -> int:
    """Move all messages; the last get, which finds none, follows all acknowledgements."""
    channel.confirm_delivery()
    moved = 0
    while True:
        method, properties, body = channel.basic_get(source)
        if method is None or properties is None:
            return moved
        headers = properties.headers or {}
        properties.headers = {k: v for k, v in headers.items() if k not in COUNTS}
        # the broker refuses any other user than that of the connection
        properties.user_id = None
        properties.delivery_mode = pika.DeliveryMode.Persistent.value
        channel.basic_publish("", target, body or b"", properties, mandatory=True)
        channel.basic_ack(method.delivery_tag or 0)
        moved += 1
