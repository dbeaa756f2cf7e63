"""An order with its customer, products, bill and history: the data of four services in one answer.

Order and history are fetched at the same time; then, also at the same time, customer, products and
bill. A part that is unavailable is left out, and delays the answer by no more than its time limit.
"""

import logging
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from chassis.errors import UpstreamError
from chassis.http import caller as identity
from chassis.http.answer import Answer
from chassis.http.upstream import IN_FLIGHT, UpstreamClient
from chassis.schema.fields import MAX_BIGINT
from gateway.fan_out import FanOut, as_list, decoded

# the optional parts and the class of resources of each; the history is always shown
PARTS = {"bill": "billing", "customer": "customers", "products": "products"}
_REQUIRED = ("order_id", "customer_id", "items")
logger = logging.getLogger(__name__)


def _threads() -> ThreadPoolExecutor:
    """Return enough threads to wait for all four services at once: no part waits for a thread."""
    return ThreadPoolExecutor(4 * IN_FLIGHT, "order-details")


@dataclass(frozen=True)
class OrderDetails:
    """Fetches details from the four services; all threads of a process share it."""

    orders: UpstreamClient
    inventory: UpstreamClient
    customers: UpstreamClient
    billing: UpstreamClient
    _threads: ThreadPoolExecutor = field(default_factory=_threads)

    def fetch(
        self, order_id: str, caller: str, permitted: Collection[str]
    ) -> dict[str, Any] | Answer:
        """Return an order with its parts, or the answer of orders-api if its status is not 200.

        Args:
            order_id: the id, as received.
            caller: the name of the caller, for the services.
            permitted: the `PARTS` that the caller may read.

        Raises:
            UnavailableError: orders-api can't be reached, or is not called.
            UpstreamTimeoutError: orders-api takes too long.
            UpstreamError: orders-api has answered with something else than an order.
        """
        fan_out = FanOut(self._threads, caller)
        path = f"/api/orders/{quote(order_id, safe='')}"
        history = fan_out.fetch(self.orders, f"{path}/history", as_list)
        answer = fan_out.call(self.orders, path)
        if answer.status != 200:
            return answer
        order = _order(decoded(answer))
        uid = answer.headers.get(identity.ORDER_UID)
        parts = {"history": history, **self._related(order, uid, fan_out, permitted)}
        shown = _assembled(order, fan_out.results(parts))
        return {**shown, "protected": sorted(PARTS.keys() - set(permitted))}

    def _related(
        self,
        order: Mapping[str, Any],
        uid: str | None,
        fan_out: FanOut,
        permitted: Collection[str],
    ) -> dict[str, "Future[Any]"]:
        """Fetch the parts that an order can have and the caller may read."""
        parts = {}
        if "bill" in permitted and uid:
            # not by order_id: another order may have had the same, and any client may send one
            path = f"/api/billing/{quote(uid, safe='')}"
            parts["bill"] = fan_out.fetch(self.billing, path, _object)
        if "customer" in permitted and _is_key(order["customer_id"]):
            path = f"/api/customers/{order['customer_id']}"
            parts["customer"] = fan_out.fetch(self.customers, path, _object)
        if "products" in permitted and order["items"]:
            ids = ",".join(str(item["product_id"]) for item in order["items"])
            path = f"/api/products?ids={ids}&limit=1000"
            parts["products"] = fan_out.fetch_pages(self.inventory, path, _by_id)
        return parts


def _assembled(order: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
    failed = {name: found for name, found in answers.items() if isinstance(found, Exception)}
    for name, error in failed.items():
        logger.warning("details are incomplete", extra={"part": name, "error": str(error)})
    fetched = {name: found for name, found in answers.items() if name not in failed}
    products = fetched.get("products") or {}
    lines = [{**item, "product": products.get(item["product_id"])} for item in order["items"]]
    return {
        "order": {**order, "items": lines},
        "customer": fetched.get("customer"),
        "bill": fetched.get("bill"),
        "history": fetched.get("history"),
        "unavailable": sorted(failed),
    }


def _is_key(customer_id: str) -> bool:
    """Return whether this can be the id of a customer; orders accept any text."""
    number = int(customer_id) if customer_id.isascii() and customer_id.isdecimal() else 0
    return 0 < number <= MAX_BIGINT and str(number) == customer_id


def _order(data: Any) -> dict[str, Any]:
    order = _object(data)
    if any(name not in order for name in _REQUIRED):
        raise UpstreamError("orders-api has answered with something else than an order.")
    return order


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UpstreamError("An upstream has answered with something else than an object.")
    return data


def _by_id(data: Any) -> dict[Any, Any]:
    return {_object(product).get("id"): product for product in as_list(data)}
