"""Strict mode: a change counts only once the broker has confirmed the event that tells of it."""

from dataclasses import dataclass

from sqlalchemy import Connection

from chassis import outbox
from chassis.broker import Message
from chassis.errors import BrokerUnavailableError
from chassis.publisher import Publisher


@dataclass(frozen=True)
class Strict:
    """Publishes within the transaction of the change, which the caller commits afterwards.

    Two windows remain. If the commit fails after the confirm, the event tells of a change that is
    none; if the confirm comes after the time-out, so does it.
    """

    publisher: Publisher

    def announce(self, connection: Connection, message: Message, aggregate: str | None) -> None:
        """Publish and wait for the confirm.

        Raises:
            BrokerUnavailableError: not confirmed in time, or older events of the same aggregate
                still wait in the outbox; the caller rolls the change back.
        """
        if aggregate is not None and outbox.waits(connection, aggregate):
            raise BrokerUnavailableError("Older events of the same thing still wait for RabbitMQ.")
        self.publisher.publish(message)
