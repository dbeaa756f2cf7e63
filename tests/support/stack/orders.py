"""Orders of clients, and the rules for all services once they are settled."""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any
from uuid import uuid4

import requests

from provisioning.rabbitmq.definitions import DEAD_LETTERS, consumed_queues
from tests.support.at_work import at_work
from tests.support.stack.bills_client import NO_ANSWER
from tools.drills.checks import saga
from tools.drills.targets.stack_platform import StackPlatform
from tools.stack import backlog
from tools.stack.errors import StackError
from tools.stack.servers.amqp import connect as connect_to_broker
from tools.stack.servers.databases import connect
from tools.stack.stack import Stack
from tools.stack.status import queue_depths
from tools.stack.waiting import wait_until

OUTBOXES = ("orders", "inventory", "billing")
MANY = 1_000_000
MAX_PAUSE = 0.8  # between two orders of a client, in seconds
Answer = dict[str, Any]


class Orders:
    """Places orders of one new customer for new products, and records their outcomes.

    Attributes:
        customer: the customer's id; it has an address.
        stock: the first stock of each product, by its id.
        placed: the orders that were answered with 201.
        unsure: how many were not answered, or refused because of a fault.
        refused: the status of the latter.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._source = StackPlatform(stack)
        self.url = f"{stack.url}/api/orders"
        self.headers = {"Authorization": f"Bearer {stack.variables['API_TOKEN']}"}
        self.customer = self._make_customer()
        self.stock: dict[int, int] = {}
        self.placed: list[Answer] = []
        self.unsure = 0
        self.refused: list[int] = []

    def _make_customer(self) -> str:
        body = {"name": "Benjamin", "email": f"{uuid4().hex}@kawa.fr"}
        answer = requests.post(f"{self.stack.url}/api/customers", json=body, timeout=20)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def make_product(self, stock: int = MANY, price: float = 9.99) -> int:
        """Create a product with this stock; return its id."""
        body = {"name": f"product {uuid4().hex}", "price": price, "stock": stock}
        answer = requests.post(f"{self.stack.url}/api/products", json=body, timeout=20)
        assert answer.status_code == 201, answer.text
        made: int = answer.json()["id"]
        self.stock[made] = stock
        return made

    def post(self, *items: tuple[int, int], **headers: str) -> requests.Response:
        """Order products, so many of each, and remember an accepted order."""
        lines = [{"product_id": product, "quantity": count} for product, count in items]
        body = {"customer_id": self.customer, "items": lines}
        answer = requests.post(self.url, json=body, headers=self.headers | headers, timeout=20)
        if answer.status_code == 201:
            self.placed.append(answer.json())
        return answer

    def place(self, *items: tuple[int, int]) -> Answer:
        """Order products, which has to succeed."""
        answer = self.post(*items)
        assert answer.status_code == 201, answer.text
        placed: Answer = answer.json()
        return placed

    def cancel(self, order: Answer) -> requests.Response:
        """Cancel an order."""
        url = f"{self.url}/{order['id']}/status"
        return requests.put(url, json="cancelled", headers=self.headers, timeout=20)

    def get(self, order: Answer, path: str = "") -> Any:
        """The order as the API shows it now."""
        url = f"{self.url}/{order['id']}{path}"
        answer = requests.get(url, headers=self.headers, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @contextmanager
    def traffic(self, clients: int = 4, seed: int = 5) -> Iterator[None]:
        """Order, and cancel now and then, from several clients at once until the block ends."""
        chances = [random.Random(seed + number) for number in range(clients)]
        with at_work(*[partial(self._work, chance) for chance in chances]):
            yield

    def _work(self, chance: random.Random, stop: threading.Event) -> None:
        products = list(self.stock)
        while not stop.is_set():
            chosen = chance.sample(products, chance.randint(1, len(products)))
            self._try(chance, [(product, chance.randint(1, 3)) for product in chosen])
            # a fault needs some orders in flight, and not all that the cores can take
            stop.wait(chance.random() * MAX_PAUSE)

    def _try(self, chance: random.Random, items: Sequence[tuple[int, int]]) -> None:
        try:
            answer = self.post(*items)
        except NO_ANSWER:
            self.unsure += 1
            return
        if answer.status_code != 201:
            self.refused.append(answer.status_code)
            self.unsure += 1
        elif chance.random() < 0.2:
            self._try_to_cancel(answer.json())

    def _try_to_cancel(self, order: Answer) -> None:
        with suppress(*NO_ANSWER):
            # 409: it has ended meanwhile
            assert self.cancel(order).status_code in (200, 409, 502, 503, 504)

    def wait_for_placed(self, more: int, seconds: float = 60) -> None:
        """Wait until so many more orders are accepted."""
        goal = len(self.placed) + more
        wait_until(lambda: len(self.placed) >= goal, seconds, f"{more} more orders to be taken")

    def wait_for_status(self, order: Answer, status: str, seconds: float = 30) -> None:
        """Wait until an order is in a state."""
        what = f"the order to be {status}"
        wait_until(lambda: self.get(order)["status"] == status, seconds, what)

    def wait_until_settled(self, seconds: float = 60) -> None:
        """Wait until the orders meet all rules; fail with the broken ones."""
        try:
            wait_until(lambda: self._is_quiet() and not self.faults(), seconds, "it", poll=0.5)
        except StackError:
            # an explicit message, since pytest explains only assertions of test modules
            unsent = {service: backlog.unsent(self.stack, service) for service in OUTBOXES}
            left = {"faults": self.faults()[:20], "unsent": unsent, "waiting": self._waiting()}
            raise AssertionError(left) from None

    def _is_quiet(self) -> bool:
        """Whether no message is in flight."""
        return (
            not any(backlog.unsent(self.stack, service) for service in OUTBOXES)
            and not self._waiting()
        )

    def _waiting(self) -> dict[str, str]:
        """The queues with waiting messages, dead letters included."""
        consumed = consumed_queues(self.stack.rabbitmq.queue)
        names = [name + end for name in consumed for end in ("", DEAD_LETTERS)]
        depths = queue_depths(self.stack.rabbitmq, names)
        return {name: depth for name, depth in depths.items() if depth != "0"}

    def waiting(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        return int(queue_depths(self.stack.rabbitmq, [queue])[queue])

    def faults(self) -> list[str]:
        """The broken rules once all orders are settled."""
        rows = self.rows()
        uids = {row.uid for row in rows}
        found = [finding.words for finding in saga.findings(self._source, rows, self.stock)]
        # other tests publish bills of users that may have this customer's id
        ours = "user_id = %s AND order_id IS NOT NULL"
        statement = f"SELECT message_id FROM orders WHERE {ours}"
        bills = {uid for (uid,) in self.query("billing", statement, self.customer)}
        return found + [f"the bill {message_id} is of no order" for message_id in bills - uids]

    def rows(self) -> list[saga.PlacedOrder]:
        """The customer's orders in orders_db; those that were answered, and a few unsure ones."""
        rows = saga.placed(self._source, f"customer_id = '{self.customer}'")
        ids = {row.id for row in rows}
        assert ids >= {order["id"] for order in self.placed}
        assert len(ids) - len(self.placed) <= self.unsure
        return rows

    def mails(self) -> Counter[str]:
        """The names of the mails in the Maildir."""
        return self._source.mails()

    def query(self, service: str, statement: str, *values: object) -> list[Any]:
        """Run a query in a service's database."""
        with (
            closing(connect(self.stack, service)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def purge_dead_letters(self) -> None:
        """Purge the dead letters that other tests left."""
        with connect_to_broker(self.stack.rabbitmq) as connection:
            for queue in consumed_queues(self.stack.rabbitmq.queue):
                connection.channel().queue_purge(queue + DEAD_LETTERS)
