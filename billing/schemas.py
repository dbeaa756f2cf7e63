"""The messages of billing_queue and billing_inbox, and the queries, that billing accepts."""

from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints, TypeAdapter

from chassis.messaging.event_handler import EventData
from chassis.schema.fields import NO_NUL, Count, Money, Reference, Schema, text
from chassis.schema.paging import Limit

MessageId = Annotated[str, StringConstraints(min_length=1, max_length=255), NO_NUL]
MESSAGE_ID: TypeAdapter[str] = TypeAdapter(MessageId)
OrderId = Annotated[str, text(1, 50)]


class BillMessage(Schema):
    """A message of billing_queue."""

    user_id: Reference
    number_of_items: Count
    total_amount: Money
    order_id: OrderId | None = None


class CancelledOrder(EventData):
    """The member of order.cancelled that billing reads: `uid`, the id of the order's bill."""

    uid: UUID

    @property
    def aggregate(self) -> UUID:
        """The order."""
        return self.uid


class BillQuery(Schema):
    """Which bills to list, newest first; `after` is the id of the last bill seen."""

    user_id: Reference | None = None
    order_id: OrderId | None = None
    limit: Limit = 100
    after: MessageId | None = None
