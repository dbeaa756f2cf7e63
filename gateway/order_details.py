"""An order with all that belongs to it: what four services know, in one answer.

Order and history are asked for at once; then, at once too, what the order leads to: customer,
products, bill. A part that is away is missing, and costs no more than its time.
"""

import logging
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from chassis.errors import UpstreamError
from chassis.http import caller as identity
from chassis.http.upstream import IN_FLIGHT, Answer, UpstreamClient
from chassis.schema.fields import MAX_BIGINT
from gateway.fan_out import Inquiry, as_list, decoded

# of an order, and the class of resources that each belongs to; its history it always shows
PARTS = {"bill": "billing", "customer": "customers", "products": "products"}
_REQUIRED = ("order_id", "customer_id", "items")
logger = logging.getLogger(__name__)


def _threads() -> ThreadPoolExecutor:
    """As many as can wait for the four services at once, so that no part waits for a thread."""
    return ThreadPoolExecutor(4 * IN_FLIGHT, "order-details")


@dataclass(frozen=True)
class OrderDetails:
    """Asks the four services; all threads of a process share it."""

    orders: UpstreamClient
    inventory: UpstreamClient
    customers: UpstreamClient
    billing: UpstreamClient
    _threads: ThreadPoolExecutor = field(default_factory=_threads)

    def fetch(
        self, order_id: str, caller: str, permitted: Collection[str]
    ) -> dict[str, Any] | Answer:
        """Return an order with its parts, or what orders answers if that is no order.

        Args:
            order_id: the id, as it came.
            caller: who asks, for the services.
            permitted: the `PARTS` that the caller may read.

        Raises:
            UnavailableError: orders can't be reached, or is not asked.
            UpstreamTimeoutError: orders takes too long.
            UpstreamError: orders has answered with something else than an order.
        """
        inquiry = Inquiry(self._threads, caller)
        path = f"/api/orders/{quote(order_id, safe='')}"
        history = inquiry.ask(self.orders, f"{path}/history", as_list)
        answer = inquiry.call(self.orders, path)
        if answer.status != 200:
            return answer
        order = _order(decoded(answer))
        uid = answer.headers.get(identity.ORDER_UID)
        parts = {"history": history, **self._led_to(order, uid, inquiry, permitted)}
        shown = _put_together(order, inquiry.answers(parts))
        return {**shown, "protected": sorted(PARTS.keys() - set(permitted))}

    def _led_to(
        self,
        order: Mapping[str, Any],
        uid: str | None,
        inquiry: Inquiry,
        permitted: Collection[str],
    ) -> dict[str, "Future[Any]"]:
        """Ask for what an order names; not for what it can't have or the caller may not read."""
        parts = {}
        if "bill" in permitted and uid:
            # not by its order_id: another order may have had that, and any client may send it
            path = f"/api/billing/{quote(uid, safe='')}"
            parts["bill"] = inquiry.ask(self.billing, path, _object)
        if "customer" in permitted and _is_key(order["customer_id"]):
            path = f"/api/customers/{order['customer_id']}"
            parts["customer"] = inquiry.ask(self.customers, path, _object)
        if "products" in permitted and order["items"]:
            ids = ",".join(str(item["product_id"]) for item in order["items"])
            path = f"/api/products?ids={ids}&limit=1000"
            parts["products"] = inquiry.ask_all(self.inventory, path, _by_id)
        return parts


def _put_together(order: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
    away = {name: found for name, found in answers.items() if isinstance(found, Exception)}
    for name, error in away.items():
        logger.warning("details are incomplete", extra={"part": name, "error": str(error)})
    there = {name: found for name, found in answers.items() if name not in away}
    products = there.get("products") or {}
    lines = [{**item, "product": products.get(item["product_id"])} for item in order["items"]]
    return {
        "order": {**order, "items": lines},
        "customer": there.get("customer"),
        "bill": there.get("bill"),
        "history": there.get("history"),
        "unavailable": sorted(away),
    }


def _is_key(customer_id: str) -> bool:
    """Tell whether this can be a customer of ours: orders take any text."""
    number = int(customer_id) if customer_id.isascii() and customer_id.isdecimal() else 0
    return 0 < number <= MAX_BIGINT and str(number) == customer_id


def _order(data: Any) -> dict[str, Any]:
    order = _object(data)
    if any(name not in order for name in _REQUIRED):
        raise UpstreamError("orders-api has answered with no order.")
    return order


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UpstreamError("An upstream has answered with no object.")
    return data


def _by_id(data: Any) -> dict[Any, Any]:
    return {_object(product).get("id"): product for product in as_list(data)}
