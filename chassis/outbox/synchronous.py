"""Strict mode: a change commits only after the broker has confirmed its event."""

from dataclasses import dataclass

from sqlalchemy import Connection

from chassis.errors import BrokerUnavailableError
from chassis.messaging.message import Message
from chassis.messaging.publisher import Publisher
from chassis.outbox import table as outbox


@dataclass(frozen=True)
class SynchronousPublisher:
    """Publishes within the transaction of the change, which the caller commits afterwards.

    In two races an event is published for a change that was rolled back: the commit fails after
    the confirm; or the broker has the event, but its confirm comes after the time-out.

    Attributes:
        publisher: started, with the time-out that a change may wait for.
    """

    publisher: Publisher

    def publish(self, connection: Connection, message: Message, aggregate: str | None) -> None:
        """Publish and wait for the confirm.

        Args:
            connection: in the transaction of the change, which holds the aggregate's lock.
            message: the event of the change.
            aggregate: what changed, such as `customer/42`.

        Raises:
            BrokerUnavailableError: not confirmed in time, or older events of the same aggregate
                still wait in the outbox; the caller rolls the change back.
        """
        if aggregate is not None and outbox.has_pending(connection, aggregate):
            detail = f"Nothing was changed: older events of {aggregate} still wait for RabbitMQ."
            raise BrokerUnavailableError(detail, "older_events_wait")
        try:
            self.publisher.publish(message)
        except BrokerUnavailableError as error:
            raise BrokerUnavailableError(f"Nothing was changed: {error}.", error.cause) from error
