"""A walk through all services, in which every kind of message is published."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import requests

from tests.support import stack_commands
from tests.support.ordered import ORDERED
from tests.support.stack.wire import Taken, Wire
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

ANNA = {
    "name": "Anna",
    "email": "anna@kawa.fr",
    "company": "Kawa Corp",
    "phone": "0601020304",
}
MATRIX = {
    "title": "The Matrix",
    "description": "Un hacker informatique apprend la vraie nature de sa réalité.",
}
BLU_RAY = {"name": "The Matrix, Blu-ray", "price": 19.99, "stock": 5}
BILL = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}
BARE = {"customer_id": "CLIENT123", "total_amount": 150.50}
EVENT = {"order_id": 12345, "customer": "John Doe", "total_amount": 250}
NO_BILL, NO_BILL_ID, UNSENDABLE_ID = b"no bill", "poison-1", "unsendable-1"
Answer = dict[str, Any]


class Telling:
    """The walk; messages that no binding reaches are read from their queues on the way.

    Attributes:
        wire: receives all events meanwhile.
        bills: the messages of the queues of bills: a client's bill and an order's bill.
        dead_letters: the message of each dead-letter queue, by its name.
    """

    def __init__(self, stack: Stack, wire: Wire) -> None:
        self._stack = stack
        self.wire = wire
        self._queue = stack.rabbitmq.queue
        self._letter_boxes = (f"{self._queue}.dlq", "mail_inbox.dlq")
        self.bills: dict[str, Taken] = {}
        self.dead_letters: dict[str, Taken] = {}

    def prepare(self) -> None:
        """Prepare: create a new customer, and delete other movies."""
        for there in self._call("GET", f"/api/customers?email={ANNA['email']}"):
            self._call("DELETE", f"/api/customers/{there['id']}")
        self._call("DELETE", "/api/movies")
        self.clear()

    def clear(self) -> None:
        """Purge the dead letters."""
        for queue in self._letter_boxes:
            self.wire.purge(queue)

    def tell(self) -> None:
        """Make the whole walk."""
        customer = self._call("POST", "/api/customers", ANNA)["id"]
        self._call("PUT", f"/api/customers/{customer}", {"name": "Anna Kawa"})
        movie = self._call("POST", "/api/movies", MATRIX)["id"]
        self._call("PUT", f"/api/movies/{movie}", {"title": "The Matrix Reloaded"})
        product = self._make_product(movie)
        self._call("PUT", f"/api/products/{product}", {"price": 17.99})
        self._order_and_bill(str(customer), product)
        self._order_without_items()
        self._call("POST", "/api/events/ecommerce/order/create", EVENT)
        self._put_aside()
        for path in (f"customers/{customer}", f"movies/{movie}", f"products/{product}"):
            self._call("DELETE", f"/api/{path}")
        self._call("POST", "/api/movies", MATRIX)
        self._call("DELETE", "/api/movies")
        # as after a restore of movies_db
        stack_commands.run(self._stack, "inventory", "restored")

    def _make_product(self, movie: int) -> int:
        """Create a product that may be deleted, since no example of openapi.yaml orders it."""
        made = 0
        while made <= max(ORDERED):
            made = self._call("POST", "/api/products", BLU_RAY | {"movie_id": movie})["id"]
        return made

    def _order_and_bill(self, customer: str, product: int) -> None:
        with self._stopped("billing-consumer"):
            kept = self._order(customer, product, 2, "processing")
            self._order(customer, product, 1000, "cancelled")
            called_off = self._order(customer, product, 1, "processing")
            bill = self._call("POST", "/api/billing", BILL)["id"]
            self._look_at_bills(bill, kept["order_id"])
            self._call("PUT", f"/api/orders/{called_off['id']}/status", {"status": "cancelled"})
        self._wait_for(kept, "completed")
        with self._stopped("billing-relay"):
            self._call_off_when_billed(customer, product)

    def _call_off_when_billed(self, customer: str, product: int) -> None:
        """Cancel an order whose bill is recorded before orders knows it."""
        billed = self._order(customer, product, 1, "processing")
        path = f"/api/billing?order_id={billed['order_id']}"
        wait_until(lambda: bool(self._call("GET", path)), 30, "the bill to be recorded")
        self._call("PUT", f"/api/orders/{billed['id']}/status", {"status": "cancelled"})

    def _order(self, customer: str, product: int, quantity: int, status: str) -> Answer:
        items = [{"product_id": product, "quantity": quantity}]
        order: Answer = self._call("POST", "/api/orders", {"customer_id": customer, "items": items})
        self._wait_for(order, status)
        return order

    def _wait_for(self, order: Answer, status: str) -> None:
        def is_it() -> bool:
            return bool(self._call("GET", f"/api/orders/{order['id']}")["status"] == status)

        wait_until(is_it, 60, f"the order to be {status}")

    def _look_at_bills(self, bill: str, order_id: str) -> None:
        def are_there() -> bool:
            for taken in (*self.wire.look_into(self._queue), *self.wire.look_into("order_bills")):
                if taken.properties["message_id"] == bill:
                    self.bills.setdefault("gateway", taken)
                elif isinstance(taken.body, dict) and taken.body.get("order_id") == order_id:
                    self.bills.setdefault("orders", taken)
            return len(self.bills) == 2

        wait_until(are_there, 30, "both bills to be in the queue")

    def _order_without_items(self) -> None:
        order = self._call("POST", "/api/orders", BARE)["id"]
        self._call("PUT", f"/api/orders/{order}", {"total_amount": 160.5})
        for status in ("processing", "completed"):
            self._call("PUT", f"/api/orders/{order}/status", {"status": status})
        self._call("DELETE", f"/api/orders/{order}")

    def _put_aside(self) -> None:
        """Make a consumer refuse a message, and a sender refuse a mail."""
        wait_until(lambda: bool(self._annas_orders()), 30, "Anna's order to be told")
        created = self._annas_orders()[0]
        changed = {"uid": str(uuid4()), "email": "nobody"}
        unsendable = created | {"id": UNSENDABLE_ID, "data": created["data"] | changed}
        self.wire.publish(self._queue, NO_BILL, NO_BILL_ID)
        self.wire.publish("mail_inbox", json.dumps(unsendable).encode(), UNSENDABLE_ID)
        for queue in self._letter_boxes:
            self._look_for_dead_letter(queue)

    def _annas_orders(self) -> list[Answer]:
        """The `order.created` events of Anna's orders so far."""
        taken = (t.body for t in self.wire.take() if t.body["type"] == "order.created")
        return [body for body in taken if body["data"]["email"] == ANNA["email"]]

    def _look_for_dead_letter(self, queue: str) -> None:
        def is_there() -> bool:
            for taken in self.wire.look_into(queue):
                self.dead_letters.setdefault(queue, taken)
            return queue in self.dead_letters

        wait_until(is_there, 30, f"a dead letter in {queue}")

    @contextmanager
    def _stopped(self, process: str) -> Iterator[None]:
        self._stack.pm2("stop", process)
        try:
            yield
        finally:
            self._stack.pm2("start", process)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self._stack.variables['API_TOKEN']}"}
        url = self._stack.url + path
        answer = requests.request(method, url, json=body, headers=headers, timeout=20)
        assert answer.ok, answer.text
        return answer.json()
