"""Taking an order: a bare one as it is, one with items at inventory's prices."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple
from uuid import UUID

from chassis.http.client import ServiceClient
from orders import pricing, queries
from orders.customer_replica.check import CustomerCheck, Standing
from orders.orders import Orders
from orders.queries import FoundOrder
from orders.transitions import Cause

logger = logging.getLogger(__name__)


class TakenOrder(NamedTuple):
    """An order as it was stored, and whether its customer is known."""

    order: FoundOrder
    customer: Standing


@dataclass(frozen=True)
class Desk:
    """Takes orders.

    Attributes:
        orders: where they are kept.
        inventory: the service that knows the products.
        customers: tells whether the customers of orders are known.
    """

    orders: Orders
    inventory: ServiceClient
    customers: CustomerCheck

    def take(
        self, values: Mapping[str, Any], cause: Cause, request_key: UUID | None = None
    ) -> TakenOrder:
        """Store an order and return it; it is stored whether its customer is known or not.

        Args:
            values: `customer_id`, `status`, `order_id` or None, `total_amount` or None, and, if it
                has any, `items` with `product_id` and `quantity`.
            cause: who says so.
            request_key: the same at each repetition of a request, which then makes one order.

        Raises:
            ConflictError: another order has this `order_id`.
            InvalidError: a product is unknown, or the amounts do not fit.
            UnavailableError: inventory is away; so are its time-outs and faults told.
        """
        earlier = self._earlier(request_key)
        if earlier is not None:
            return TakenOrder(earlier, self.customers.standing(earlier["customer_id"]))
        order, lines = self._priced(values)
        # before the order is stored: no failure may hide that it is
        customer = self.customers.standing(order["customer_id"])
        made = self.orders.create(order, lines, cause, request_key)
        if customer == "unknown":
            extra = {"order_id": made["order_id"], "customer_id": made["customer_id"]}
            logger.warning("order for an unknown customer: no mail is expected", extra=extra)
        return TakenOrder(made, customer)

    def _priced(self, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
        """Return an order without its items, and its lines, none for a bare order."""
        if "items" not in values:
            return values, []
        items = [(item["product_id"], item["quantity"]) for item in values["items"]]
        lines, amount = pricing.price(self.inventory, items, values["total_amount"])
        order = {name: value for name, value in values.items() if name != "items"}
        order["total_amount"] = amount
        return order, [asdict(line) for line in lines]

    def _earlier(self, request_key: UUID | None) -> FoundOrder | None:
        """Look first: a repetition depends neither on inventory nor on its prices of now."""
        if request_key is None:
            return None
        with self.orders.database.read() as connection:
            return queries.of_request(connection, request_key)
