"""Publishes messages that can't be processed to the dead-letter queue, with the reason.

batch_processor.py decides which messages these are.
"""

import logging
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pika

from chassis import trace
from chassis.errors import shortened
from chassis.messaging import broker
from chassis.messaging.amqp_tables import size_of
from chassis.messaging.declarations import Topology, dead_letter_queue
from chassis.messaging.delivery import COUNTS
from chassis.messaging.message import Message
from chassis.messaging.publisher import Publisher
from chassis.messaging.short_strings import as_text
from chassis.printable import escaped, escaped_line
from chassis.settings import BrokerSettings

REASON, TIME = "x-dead-letter-reason", "x-dead-letter-time"
LEFT_OUT = "x-headers-left-out"
CARRIED_BYTES = 32 * 1024
"""Of a frame, which has 128 KiB by default; a broker may be configured for 64 KiB."""
_BY_BROKER = (*COUNTS, "x-death", "x-first-death", "x-last-death")
_FIRST = ("X-Request-ID", "traceparent", LEFT_OUT)
_DESCRIBING = (
    *("content_type", "content_encoding", "correlation_id", "reply_to"),
    *("app_id", "type", "timestamp", "priority"),
)
_NAMED, _LONGEST_LIST = 20, 4000
logger = logging.getLogger(__name__)


class DeadLetters:
    """Publishes dead letters; the original is acknowledged only after the copy is confirmed."""

    def __init__(self, settings: BrokerSettings, name: str, topology: Topology) -> None:
        self._queue = dead_letter_queue(settings.queue)
        self._publisher = Publisher(settings, f"{name} dead letters", topology, timeout=5)

    def start(self) -> None:
        """Connect, in a thread."""
        self._publisher.start()

    def close(self) -> None:
        """Close the connection."""
        self._publisher.close()

    def ready(self) -> bool:
        """Return whether the broker takes messages now."""
        return self._publisher.is_ready()

    def put(self, body: bytes, properties: pika.BasicProperties, reason: str) -> None:
        """Publish a copy with its reason and wait for the confirm.

        Raises:
            BrokerUnavailableError: not confirmed.
        """
        headers = carried(properties) | why(reason)
        message_id = as_text(properties.message_id or str(uuid4()))
        kept = {"content_type": "application/octet-stream", **described(properties)}
        self._publisher.publish(
            Message(body, self._queue, "", message_id, headers, properties=kept)
        )
        with trace.within(trace.continued(headers)):
            extra = {"queue": self._queue, "message_id": message_id, "reason": reason}
            logger.error("message dead-lettered", extra=extra)


def why(reason: str) -> dict[str, str]:
    """Return the headers with reason and time of the dead-lettering."""
    return {REASON: shortened(escaped(reason), 1000), TIME: str(broker.now())}


def described(properties: pika.BasicProperties) -> dict[str, Any]:
    """Return the properties that a copy keeps besides id and headers.

    It keeps neither the expiration time nor the user id, which the broker compares with the user of
    the connection.
    """
    values = {name: getattr(properties, name) for name in _DESCRIBING}
    return {name: value for name, value in values.items() if value is not None}


def carried(properties: pika.BasicProperties) -> dict[Any, Any]:
    """Return the headers that a copy keeps: all but the broker's own and an earlier reason.

    They must fit into one frame (AMQP 0-9-1, section 4.2.6), together with the added ones. A header
    without room is left out, and the header `x-headers-left-out` names it.
    """
    kept: dict[Any, Any] = {}
    left_out: list[str] = []
    room = CARRIED_BYTES
    for name, value in sorted(_own(properties), key=lambda header: header[0] not in _FIRST):
        size = size_of(name, value)
        if size <= room:
            kept[name] = value
            room -= size
        else:
            left_out.append(f"{shortened(escaped_line(as_text(name)), 80)} ({size:,} bytes)")
    return kept | _left_out_header(left_out, kept.get(LEFT_OUT))


def _own(properties: pika.BasicProperties) -> list[tuple[str | bytes, Any]]:
    dropped = {*_BY_BROKER, REASON, TIME}
    return [
        (name, value)
        for name, value in (properties.headers or {}).items()
        if name not in dropped and not as_text(name).startswith(("x-first-death", "x-last-death"))
    ]


def _left_out_header(left_out: Sequence[str], before: object) -> dict[str, str]:
    """Name the headers left out now, after those that an earlier copy has left out."""
    if not left_out:
        return {}
    named = list(left_out[:_NAMED])
    if len(left_out) > _NAMED:
        named.append(f"and {len(left_out) - _NAMED:,} more")
    earlier = [before] if isinstance(before, str) else []
    return {LEFT_OUT: shortened(", ".join(earlier + named), _LONGEST_LIST)}
