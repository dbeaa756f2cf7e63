"""Messages published to a queue directly, not through the gateway, with any headers AMQP allows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pika import BasicProperties, DeliveryMode
from pika.exceptions import AMQPError

from chassis.messaging import amqp_tables
from tools.stack.errors import StackError
from tools.stack.servers.amqp import connect_to

amqp_tables.install()


@dataclass(frozen=True)
class Message:
    """A message and its queue; the values of `headers` may be `RawValue`s."""

    queue: str
    id: str
    body: bytes
    headers: Mapping[str, Any] = field(default_factory=dict)


def publish(
    address: tuple[str, int], vhost: str, credentials: tuple[str, str], messages: Iterable[Message]
) -> None:
    """Publish messages, and return when the broker has confirmed all. Raises StackError."""
    try:
        with connect_to(address, vhost, credentials) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for message in messages:
                properties = BasicProperties(
                    delivery_mode=DeliveryMode.Persistent,
                    message_id=message.id,
                    headers=dict(message.headers),
                )
                channel.basic_publish("", message.queue, message.body, properties, mandatory=True)
    except AMQPError as error:
        raise StackError(f"RabbitMQ does not take messages: {error!r}.") from None
