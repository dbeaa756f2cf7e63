"""Pricing: one call of inventory gives the names and prices of the ordered products."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pydantic import TypeAdapter, ValidationError

from chassis.errors import FieldError, InvalidError, NotFoundError, UpstreamError
from chassis.http.client import ServiceClient
from chassis.messaging.event_handler import EventData
from chassis.schema.fields import BigInt, Money, Title

MAX_QUANTITY = 1_000_000
"""The largest quantity of one product in one order; a hundred times as many fit into a bill."""
MAX_AMOUNT = Decimal("9999999999.99")
"""The largest amount of an order: a column `numeric(12, 2)` holds no more."""
_PATH, _LIMIT = "/api/products", "1000"


class Product(EventData):
    """What is read of a product."""

    id: BigInt
    name: Title
    price: Money


_PRODUCTS: TypeAdapter[list[Product]] = TypeAdapter(list[Product])


@dataclass(frozen=True)
class Line:
    """A quantity of a product at its current price."""

    product_id: int
    name: str
    quantity: int
    unit_price: Decimal


def price(
    inventory: ServiceClient, items: Sequence[tuple[int, int]], expected: Decimal | None
) -> tuple[list[Line], Decimal]:
    """Return the lines of an order, each product once, and their total amount.

    Args:
        inventory: the service that has the products.
        items: product ids and quantities.
        expected: the amount that the customer has seen, None if unknown.

    Raises:
        InvalidError: a product is unknown, a sum is too large, or the amount is not `expected`.
        UnavailableError: inventory is unavailable.
        UpstreamTimeoutError: inventory does not answer in time.
        UpstreamError: the answer is no list of products.
    """
    wanted = _summed(items)
    products = _fetch_products(inventory, wanted)
    _check_known(items, products)
    lines = [
        Line(key, products[key].name, quantity, products[key].price)
        for key, quantity in wanted.items()
    ]
    amount = sum((line.quantity * line.unit_price for line in lines), Decimal("0.00"))
    _check_amount(amount, expected)
    return lines, amount


def _summed(items: Iterable[tuple[int, int]]) -> dict[int, int]:
    wanted: Counter[int] = Counter()
    for product_id, quantity in items:
        wanted[product_id] += quantity
    for product_id, quantity in wanted.items():
        if quantity > MAX_QUANTITY:
            detail = f"must be at most {MAX_QUANTITY:,} of product {product_id} together"
            raise InvalidError([FieldError("items", detail)])
    return dict(wanted)


def _fetch_products(inventory: ServiceClient, wanted: Mapping[int, int]) -> dict[int, Product]:
    ids = ",".join(map(str, wanted))
    try:
        products = _PRODUCTS.validate_python(inventory.rows(_PATH, ids=ids, limit=_LIMIT))
    except (NotFoundError, ValidationError) as error:
        raise UpstreamError(f"{inventory.name} has not answered with products.") from error
    return {product.id: product for product in products}


def _check_known(items: Sequence[tuple[int, int]], products: Mapping[int, Product]) -> None:
    unknown = [
        FieldError(f"items.{index}.product_id", f"there is no product {product_id}")
        for index, (product_id, _quantity) in enumerate(items)
        if product_id not in products
    ]
    if unknown:
        raise InvalidError(unknown)


def _check_amount(amount: Decimal, expected: Decimal | None) -> None:
    if amount > MAX_AMOUNT:
        detail = f"amount to {amount:,}, and an order to at most {MAX_AMOUNT:,}"
        raise InvalidError([FieldError("items", detail)])
    if expected is not None and expected != amount:
        detail = f"is not what the items amount to, which is {amount}"
        raise InvalidError([FieldError("total_amount", detail)])
