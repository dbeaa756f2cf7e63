"""Placing an order: a bare one as it is, one with items at inventory's prices."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple
from uuid import UUID

from chassis.http.client import ServiceClient
from chassis.storage.database import Database
from orders import orders, pricing, queries
from orders.customer_replica.check import CustomerCheck, Standing
from orders.queries import OrderView
from orders.transitions import Cause

logger = logging.getLogger(__name__)


class PlacedOrder(NamedTuple):
    """A stored order, and whether its customer is known."""

    order: OrderView
    customer: Standing


@dataclass(frozen=True)
class Ordering:
    """Places orders.

    Attributes:
        database: `orders_db`.
        inventory: the service that has the products.
        customers: checks whether their customers are known.
    """

    database: Database
    inventory: ServiceClient
    customers: CustomerCheck

    def place_order(
        self, values: Mapping[str, Any], cause: Cause, request_key: UUID | None = None
    ) -> PlacedOrder:
        """Store an order and return it, whether its customer is known or not.

        Args:
            values: `customer_id`, `status`, `order_id` or None, `total_amount` or None, and, if it
                has any, `items` with `product_id` and `quantity`.
            cause: what causes it.
            request_key: the same for each repetition of a request, so that all make one order.

        Raises:
            ConflictError: another order has this `order_id`.
            InvalidError: a product is unknown, or the amounts do not match.
            UnavailableError: inventory is unavailable.
            UpstreamError: inventory fails or times out.
        """
        earlier = self._earlier(request_key)
        if earlier is not None:
            return PlacedOrder(earlier, self.customers.standing(earlier["customer_id"]))
        order, lines = self._priced(values)
        # before the order is stored: a failure after that would hide the order
        customer = self.customers.standing(order["customer_id"])
        with self.database.transaction() as connection:
            stored = orders.create(connection, order, lines, cause, request_key)
        if customer == "unknown":
            extra = {"order_id": stored["order_id"], "customer_id": stored["customer_id"]}
            logger.warning("order for an unknown customer: no mail is expected", extra=extra)
        return PlacedOrder(stored, customer)

    def _priced(self, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
        """Return the values of an order without its items, and its lines, none for a bare order."""
        if "items" not in values:
            return values, []
        items = [(item["product_id"], item["quantity"]) for item in values["items"]]
        lines, amount = pricing.price(self.inventory, items, values["total_amount"])
        order = {name: value for name, value in values.items() if name != "items"}
        order["total_amount"] = amount
        return order, [asdict(line) for line in lines]

    def _earlier(self, request_key: UUID | None) -> OrderView | None:
        """Return the order of a repeated request, which needs neither inventory nor its prices."""
        if request_key is None:
            return None
        with self.database.autocommit() as connection:
            return queries.of_request(connection, request_key)
