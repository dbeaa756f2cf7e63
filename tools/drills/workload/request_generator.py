"""Generates the requests of a drill, which use the drill's own data only."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tools.drills.workload.history import Request

# the share of each kind in the traffic
WEIGHTS = {"bill": 25, "keyed bill": 20, "order": 20, "customer": 8, "event": 7, "read": 20}
REMEMBERED_ORDERS = 50
READ, ORDER_READ = "read", "read of orders"


@dataclass(frozen=True)
class Fixtures:
    """The drill's own products and customers, made before the traffic starts.

    Attributes:
        marker: a product; each order has a different quantity of it, by which it is found.
        plenty: a product that never sells out.
        scarce: a product that sells out.
    """

    run: str
    marker: int
    plenty: int
    scarce: int
    customers: Sequence[int]


class RequestGenerator:
    """Generates requests; the same seed generates the same ones."""

    def __init__(self, fixtures: Fixtures, rng: random.Random) -> None:
        self._fixtures = fixtures
        self._rng = rng
        self._numbers = itertools.count(1)
        self._orders: list[str] = []

    def next(self) -> Request:
        """The next request of the traffic."""
        [kind] = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
        makers = {
            "bill": self._bill,
            "keyed bill": self._keyed_bill,
            "order": self._order,
            "customer": self._customer,
            "event": self._event,
            "read": self._read,
        }
        return makers[kind](next(self._numbers))

    def probe(self) -> Request:
        """An order that has to be completed during the recovery."""
        return self.order()

    def order(self) -> Request:
        """An order of a product that never sells out."""
        return self._order_of(next(self._numbers), self._fixtures.plenty, 1)

    def order_read(self) -> Request:
        """A read of orders, which needs no other service."""
        return Request(ORDER_READ, "", "GET", self._rng.choice(self._order_paths()))

    def _order(self, number: int) -> Request:
        other = self._fixtures.scarce if self._rng.random() < 0.1 else self._fixtures.plenty
        return self._order_of(number, other, self._rng.randint(1, 3))

    def _order_of(self, number: int, product: int, quantity: int) -> Request:
        items = [
            {"product_id": self._fixtures.marker, "quantity": number},
            {"product_id": product, "quantity": quantity},
        ]
        body = {"customer_id": self._rng.choice(self._fixtures.customers), "items": items}
        return self._request("order", number, "/api/orders", body, keyed=True)

    def seen(self, order: str) -> None:
        """Let later requests read this order, too."""
        self._orders = [*self._orders, order][-REMEMBERED_ORDERS:]

    def cancellation(self, order: str) -> Request:
        """A cancellation of an order, which may come too late."""
        return Request("cancel", "", "PUT", f"/api/orders/{order}/status", "cancelled")

    def _bill(self, number: int, keyed: bool = False) -> Request:
        body = {
            "user_id": self._name(number),
            "number_of_items": self._rng.randint(1, 9),
            "total_amount": f"{self._rng.randint(1, 99999) / 100:.2f}",
        }
        return self._request("bill", number, "/api/billing", body, keyed)

    def _keyed_bill(self, number: int) -> Request:
        return self._bill(number, keyed=True)

    def _customer(self, number: int) -> Request:
        name = self._name(number)
        return self._request(
            "customer", number, "/api/customers", {"name": name, "email": f"{name}@kawa.fr"}
        )

    def _event(self, number: int) -> Request:
        path = f"/api/events/drill/{self._fixtures.run}/made"
        return self._request("event", number, path, {"name": self._name(number)})

    def _read(self, number: int) -> Request:
        paths = ["/api/movies?limit=5", "/api/billing?limit=5", "/api/customers?limit=5"]
        paths += [f"/api/products/{self._fixtures.plenty}", "/api/events?solution=drill&limit=5"]
        paths += self._order_paths()[1:]
        return Request(READ, "", "GET", self._rng.choice(paths), number=number)

    def _order_paths(self) -> list[str]:
        single = [f"/api/orders/{order}" for order in self._orders[-3:]]
        return ["/api/orders?limit=5", *single]

    def _request(
        self, kind: str, number: int, path: str, body: object, keyed: bool = False
    ) -> Request:
        name = self._name(number)
        return Request(kind, name, "POST", path, body, name if keyed else None, number)

    def _name(self, number: int) -> str:
        return f"drill-{self._fixtures.run}-{number}"
