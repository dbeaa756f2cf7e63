"""A message to publish, without anything of the client library that publishes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from chassis.random_ids import random_id


@dataclass(frozen=True)
class Message:
    """A message to publish; always persistent.

    Attributes:
        body: JSON unless `content_type` says otherwise.
        routing_key: for the default exchange, the queue's name.
        exchange: empty for the default exchange.
        id: the same at each attempt to deliver it.
        headers: the trace, and what a consumer needs besides the body.
        mandatory: whether publishing fails if no queue takes it.
        urgent: whether an order waits for it: an outbox publishes it before messages that are not.
        properties: further AMQP properties, by pika's names, which override ours. An outbox does
            not store them.
    """

    body: bytes
    routing_key: str
    exchange: str = ""
    id: str = field(default_factory=random_id)
    headers: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = "application/json"
    mandatory: bool = True
    urgent: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def destination(self) -> str:
        """Where it goes, for logs and checks: a queue, or an exchange and the routing key."""
        return f"{self.exchange}/{self.routing_key}" if self.exchange else self.routing_key


class MessagePublisher(Protocol):
    """What publishes a message and waits for the broker's confirm."""

    def publish(self, message: Message) -> None:
        """Publish and wait.

        Raises:
            BrokerUnavailableError: not confirmed in time; the broker may have it all the same.
        """
