"""The schemas of requests to orders."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from chassis.errors import FieldError, InvalidError
from chassis.schema.fields import (
    ABSENT,
    BigInt,
    Change,
    Money,
    Schema,
    ShortReference,
    whole_number,
)
from chassis.schema.paging import Page
from chassis.schema.timestamps import QueryMoment
from chassis.schema.validation import validated
from orders.allowed_transitions import Status
from orders.pricing import MAX_QUANTITY

MAX_ITEMS = 100

CustomerId = ShortReference
"""The customer of an order: a string or a whole number, 1 to 50 characters as text."""

OrderId = ShortReference
"""The caller's name of an order: a string or a whole number, 1 to 50 characters as text."""

CUSTOMER_ID: TypeAdapter[str] = TypeAdapter(CustomerId)
ORDER_ID: TypeAdapter[str] = TypeAdapter(OrderId)
STATUS: TypeAdapter[str] = TypeAdapter(Status)


class NewItem(Schema):
    """A quantity of a product."""

    product_id: BigInt
    quantity: Annotated[int, whole_number(1, MAX_QUANTITY)]


Items = Annotated[list[NewItem], Field(min_length=1, max_length=MAX_ITEMS)]


class NewBareOrder(Schema):
    """An order without items; the caller gives the amount."""

    order_id: OrderId | None = None
    customer_id: CustomerId
    total_amount: Money
    status: Status = "pending"


class NewOrderWithItems(Schema):
    """An order of products at inventory's prices."""

    order_id: OrderId | None = None
    customer_id: CustomerId
    items: Items
    total_amount: Money | None = None
    status: Literal["pending"] = "pending"


class OrderChange(Change):
    """Changes of a bare order."""

    refused = frozenset({"items"})

    customer_id: CustomerId = ABSENT
    order_id: OrderId = ABSENT
    total_amount: Money = ABSENT
    items: Items = ABSENT


class StatusChange(Schema):
    """The new state of an order."""

    status: Status


class OrderPage(Page):
    """A page of orders by their time of creation, the newest first."""

    since: QueryMoment | None = Field(default=None, alias="from")
    until: QueryMoment | None = Field(default=None, alias="to")

    @field_validator("until")
    @classmethod
    def _not_before_since(cls, until: datetime | None, info: ValidationInfo) -> datetime | None:
        since = info.data.get("since")
        if since is not None and until is not None and until < since:
            raise PydanticCustomError("order", "must not be earlier than from")
        return until


class CustomerOrders(OrderPage):
    """A page of the orders of a customer."""

    status: Status | None = None


class StatusOrders(OrderPage):
    """A page of the orders in a state."""

    customer_id: CustomerId | None = None


class OrderQuery(CustomerOrders, StatusOrders):
    """A page of orders."""

    order_id: OrderId | None = None


def new_order(data: Any) -> NewBareOrder | NewOrderWithItems:
    """Read a new order: one with items if `items` is present, otherwise a bare one.

    Raises:
        InvalidError: names each invalid field.
    """
    if isinstance(data, dict) and "items" in data:
        return validated(NewOrderWithItems, data)
    return validated(NewBareOrder, data)


def status_change(data: Any) -> Status:
    """Read a state, given alone (`"processing"`) or in an object (`{"status": "processing"}`).

    Raises:
        InvalidError: it is no state.
    """
    if not isinstance(data, str | dict):
        detail = 'must be a status, like "processing", or an object with it'
        raise InvalidError([FieldError("status", detail)])
    document = {"status": data} if isinstance(data, str) else data
    return validated(StatusChange, document).status
