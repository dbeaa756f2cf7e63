"""What is read of the customers' events, and of the answers of their API."""

from datetime import datetime, timezone
from typing import Annotated

from pydantic import Field

from chassis.messaging.event_handler import EventData
from chassis.schema.fields import NO_NUL, BigInt
from chassis.schema.timestamps import Moment

_Text = Annotated[str, NO_NUL]


def _now() -> datetime:
    return datetime.now(timezone.utc)


class DeletedCustomer(EventData):
    """What is read of customer.deleted."""

    id: BigInt
    time: Moment = Field(default_factory=_now)
    version: BigInt | None = None

    @property
    def aggregate(self) -> int:
        """The customer."""
        return self.id


class CustomerData(DeletedCustomer):
    """What is read of customer.created and customer.updated, and of the API's answers."""

    name: _Text
    email: _Text
