"""What the routes of orders accept."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from chassis.errors import FieldError, InvalidError
from chassis.schema.fields import BigInt, Money, Schema, ShortReference, whole_number
from chassis.schema.paging import Page
from chassis.schema.timestamps import QueryMoment
from chassis.schema.validation import validated
from orders.pricing import MAX_QUANTITY
from orders.status import Status

MAX_ITEMS = 100

CustomerId = ShortReference
"""Whose an order is: a string or a whole number, 1 to 50 characters as text."""

OrderId = ShortReference
"""What its caller calls an order: a string or a whole number, 1 to 50 characters as text."""

CUSTOMER_ID: TypeAdapter[str] = TypeAdapter(CustomerId)
ORDER_ID: TypeAdapter[str] = TypeAdapter(OrderId)
STATUS: TypeAdapter[str] = TypeAdapter(Status)


class NewItem(Schema):
    """So many of a product."""

    product_id: BigInt
    quantity: Annotated[int, whole_number(1, MAX_QUANTITY)]


Items = Annotated[list[NewItem], Field(min_length=1, max_length=MAX_ITEMS)]


class NewBareOrder(Schema):
    """An order without items, whose amount its caller knows."""

    order_id: OrderId | None = None
    customer_id: CustomerId
    total_amount: Money
    status: Status = "pending"


class NewOrderWithItems(Schema):
    """An order of products; the prices are inventory's."""

    order_id: OrderId | None = None
    customer_id: CustomerId
    items: Items
    total_amount: Money | None = None
    status: Literal["pending"] = "pending"


class OrderChange(Schema):
    """What is to change of a bare order; what is left out stays. Items are known, and refused."""

    customer_id: CustomerId = Field(default="")
    order_id: OrderId = Field(default="")
    total_amount: Money = Field(default=Decimal(0))
    items: Items = Field(default=[])

    @model_validator(mode="after")
    def _names_something(self) -> "OrderChange":
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "must have customer_id, order_id or total_amount")
        return self


class StatusChange(Schema):
    """What state an order is to be in."""

    status: Status


class OrderPage(Page):
    """Which orders to list by their time of creation, the newest first."""

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
    """Which orders of a customer to list."""

    status: Status | None = None


class StatusOrders(OrderPage):
    """Which orders in a state to list."""

    customer_id: CustomerId | None = None


class OrderQuery(CustomerOrders, StatusOrders):
    """Which orders to list."""

    order_id: OrderId | None = None


def new_order(data: Any) -> NewBareOrder | NewOrderWithItems:
    """Read an order of one kind or the other; the one with `items` has items.

    Raises:
        InvalidError: naming each field that is wrong.
    """
    if isinstance(data, dict) and "items" in data:
        return validated(NewOrderWithItems, data)
    return validated(NewBareOrder, data)


def status_change(data: Any) -> Status:
    """Read a state, given alone (`"processing"`) or in an object (`{"status": "processing"}`).

    Raises:
        InvalidError: it is none.
    """
    if not isinstance(data, str | dict):
        detail = 'must be a status, like "processing", or an object with it'
        raise InvalidError([FieldError("status", detail)])
    document = {"status": data} if isinstance(data, str) else data
    return validated(StatusChange, document).status
