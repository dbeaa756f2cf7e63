"""The way into the dead-letter queue: what can't be processed, with the reason."""

import logging
from uuid import uuid4

import pika

from chassis import broker, trace
from chassis.broker import Message
from chassis.publisher import Publisher
from chassis.settings import BrokerSettings

REASON, TIME = "x-dead-letter-reason", "x-dead-letter-time"
_BY_BROKER = ("x-delivery-count", "x-death", "x-first-death", "x-last-death", "x-acquired-count")
logger = logging.getLogger(__name__)


class DeadLetters:
    """Publishes dead letters; the original is acknowledged only after the copy is confirmed."""

    def __init__(self, settings: BrokerSettings, name: str, topology: broker.Topology) -> None:
        self._queue = broker.dead_letter_queue(settings.queue)
        self._publisher = Publisher(settings, f"{name} dead letters", topology, timeout=5)

    def start(self) -> None:
        """Connect, in a thread."""
        self._publisher.start()

    def close(self) -> None:
        """Close the connection."""
        self._publisher.close()

    def ready(self) -> bool:
        """Tell whether the broker takes messages now."""
        return self._publisher.is_ready()

    def put(self, body: bytes, properties: pika.BasicProperties, reason: str) -> None:
        """Publish a copy with its reason and wait for the confirm.

        Raises:
            BrokerUnavailableError: not confirmed.
        """
        headers = carried(properties) | {REASON: reason[:1000], TIME: str(broker.now())}
        message_id = properties.message_id or str(uuid4())
        content_type = properties.content_type or "application/octet-stream"
        self._publisher.publish(
            Message(body, self._queue, "", message_id, headers, content_type=content_type)
        )
        with trace.within(trace.continued(headers)):
            extra = {"queue": self._queue, "message_id": message_id, "reason": reason}
            logger.error("message dead-lettered", extra=extra)


def carried(properties: pika.BasicProperties) -> dict[str, str]:
    """Return the headers that a copy keeps: all but the broker's own and the reason."""
    dropped = {*_BY_BROKER, REASON, TIME}
    headers = properties.headers or {}
    return {
        name: str(value)
        for name, value in headers.items()
        # a name that is not UTF-8 comes as bytes
        if isinstance(name, str)
        and name not in dropped
        and not name.startswith(("x-first-death", "x-last-death"))
    }
