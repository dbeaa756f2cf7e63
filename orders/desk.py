"""Taking an order: a bare one as it is, one with items at inventory's prices."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from chassis.service_client import ServiceClient
from orders import checkout, finding
from orders.finding import FoundOrder
from orders.moves import Cause
from orders.orders import Orders


@dataclass(frozen=True)
class Desk:
    """Takes orders.

    Attributes:
        orders: where they are kept.
        inventory: the service that knows the products.
    """

    orders: Orders
    inventory: ServiceClient

    def take(
        self, values: Mapping[str, Any], cause: Cause, request_key: UUID | None = None
    ) -> FoundOrder:
        """Store an order and return it.

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
            return earlier
        if "items" not in values:
            return self.orders.create(values, [], cause, request_key)
        items = [(item["product_id"], item["quantity"]) for item in values["items"]]
        lines, amount = checkout.price(self.inventory, items, values["total_amount"])
        order = {name: value for name, value in values.items() if name != "items"}
        order["total_amount"] = amount
        return self.orders.create(order, [asdict(line) for line in lines], cause, request_key)

    def _earlier(self, request_key: UUID | None) -> FoundOrder | None:
        """Look first: a repetition depends neither on inventory nor on its prices of now."""
        if request_key is None:
            return None
        with self.orders.database.read() as connection:
            return finding.of_request(connection, request_key)
