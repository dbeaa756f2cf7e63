"""The requests that inventory's routes accept."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from chassis.schema.fields import (
    ABSENT,
    MAX_INTEGER,
    BigInt,
    Change,
    Flag,
    LongText,
    Money,
    Schema,
    SearchText,
    Title,
    whole_number,
)
from chassis.schema.paging import Page


def _not_zero(value: int) -> int:
    if value == 0:
        raise PydanticCustomError("zero", "must not be 0")
    return value


_IDS: TypeAdapter[list[int]] = TypeAdapter(
    Annotated[list[BigInt], Field(min_length=1, max_length=1000)]
)


def _ids(value: Any) -> list[int]:
    try:
        return _IDS.validate_python(str(value).split(","))
    except ValidationError:
        raise PydanticCustomError("ids", "must be 1 to 1000 ids, like 1,4,7") from None


Stock = Annotated[int, whole_number(0, MAX_INTEGER)]
"""A quantity in stock: 0 to 2,147,483,647, also given as a string."""

Delta = Annotated[int, AfterValidator(_not_zero), whole_number(-MAX_INTEGER, MAX_INTEGER)]
"""A change of stock: a whole number, but not 0; also given as a string."""

Ids = Annotated[list[int], BeforeValidator(_ids)]
"""1 to 1000 ids, separated by commas."""


class NewMovie(Schema):
    """A movie to create."""

    title: Title
    description: LongText | None = None


class MovieChange(Change):
    """Changes of a movie."""

    title: Title = ABSENT
    description: LongText | None = None


class MovieQuery(Page):
    """Which movies to list."""

    title: SearchText | None = None


class NewProduct(Schema):
    """A product to create."""

    name: Title
    description: LongText | None = None
    price: Money
    stock: Stock = 0
    movie_id: BigInt | None = None


class ProductChange(Change):
    """Changes of a product."""

    name: Title = ABSENT
    description: LongText | None = None
    price: Money = ABSENT
    stock: Stock = ABSENT
    movie_id: BigInt | None = None


class StockChange(Schema):
    """The quantity to add to a product's stock, or to take from it."""

    delta: Delta


class ProductQuery(Page):
    """Which products to list: those that match all given criteria."""

    name: SearchText | None = None
    movie_id: BigInt | None = None
    in_stock: Flag | None = None
    ids: Ids | None = None
