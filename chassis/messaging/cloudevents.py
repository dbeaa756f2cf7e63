"""Events that a service publishes, as CloudEvents 1.0 in structured JSON.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

from chassis import trace
from chassis.json import encode
from chassis.messaging.message import Message
from chassis.random_ids import random_id

CONTENT_TYPE = "application/cloudevents+json"


def event(
    exchange: str,
    type: str,
    source: str,
    data: Any,
    *,
    routing_key: str | None = None,
    id: UUID | None = None,
    time: datetime | None = None,
    mandatory: bool = False,
    urgent: bool = False,
    **extensions: str,
) -> Message:
    """Make the message of an event, in the current trace.

    Args:
        exchange: where it is published; an event that no queue is bound for counts as delivered
            unless it is `mandatory`.
        type: what happened, such as `customer.created`.
        source: the process that publishes it, such as `customer-api`.
        data: its content.
        routing_key: `type`, unless given.
        id: also the id of the message; a new one unless given.
        time: when it happened; now, unless given.
        mandatory: whether a queue must be there to take it.
        urgent: whether an order waits for it.
        extensions: further attributes, their names in lower-case letters and digits.
    """
    identity = random_id() if id is None else str(id)
    envelope: Mapping[str, Any] = {
        "specversion": "1.0",
        "id": identity,
        "type": type,
        "source": source,
        "time": time or datetime.now(timezone.utc),
        "datacontenttype": "application/json",
        **extensions,
        "data": data,
    }
    current = trace.current()
    return Message(
        encode(envelope),
        type if routing_key is None else routing_key,
        exchange,
        identity,
        current.headers if current else {},
        CONTENT_TYPE,
        mandatory,
        urgent,
    )
