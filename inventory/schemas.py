"""The requests that inventory's routes accept."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from chassis.schema.fields import (
    MAX_INTEGER,
    BigInt,
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


class MovieChange(Schema):
    """Changes of a movie; a member that is left out stays."""

    title: Title = Field(default="")
    description: LongText | None = None

    @model_validator(mode="after")
    def _names_something(self) -> "MovieChange":
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "must have title, description or both")
        return self


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


class ProductChange(Schema):
    """Changes of a product; a member that is left out stays."""

    name: Title = Field(default="")
    description: LongText | None = None
    price: Money = Field(default=Decimal(0))
    stock: Stock = 0
    movie_id: BigInt | None = None

    @model_validator(mode="after")
    def _names_something(self) -> "ProductChange":
        if not self.model_fields_set:
            detail = "must have name, description, price, stock or movie_id"
            raise PydanticCustomError("nothing", detail)
        return self


class StockChange(Schema):
    """The quantity to add to a product's stock, or to take from it."""

    delta: Delta


class ProductQuery(Page):
    """Which products to list: those that match all given criteria."""

    name: SearchText | None = None
    movie_id: BigInt | None = None
    in_stock: Flag | None = None
    ids: Ids | None = None
