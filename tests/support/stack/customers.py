"""Changes of customers by clients, and the rules for the events of these changes."""

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import requests

from tests.support.at_work import at_work
from tests.support.stack.bills_client import NO_ANSWER
from tests.support.stack.listener import Listener
from tools.stack import backlog
from tools.stack.servers.databases import connect
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

STEPS = 4
TOLD = ("id", "name", "email", "company", "phone", "version")
"""What an event has of a customer."""
Customer = dict[str, Any]


class Change(NamedTuple):
    """A change or its event; each has its own name."""

    type: str
    name: str


class Customers:
    """Changes customers over the gateway, and knows which changes were answered.

    Attributes:
        done: the customers after each change that was answered, in that order.
        unsure: changes without an answer, and those refused because of a fault.
        refused: the status of the latter.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.url = f"{stack.url}/api/customers"
        self.done: list[tuple[Change, Customer]] = []
        self.unsure: list[Change] = []
        self.refused: list[int] = []
        self._numbers = itertools.count()

    @contextmanager
    def traffic(self, clients: int = 4) -> Iterator[None]:
        """Create, change and delete from several clients at once until the block ends."""
        with at_work(*[self._work] * clients):
            yield

    def _work(self, stop: threading.Event) -> None:
        with requests.Session() as session:
            while not stop.is_set():
                self._live(session, next(self._numbers))
                # a fault needs some changes in flight, and not all that the cores can take
                stop.wait(0.05)

    def _live(self, session: requests.Session, number: int) -> None:
        """Run a customer's changes, up to the first one with an unsure outcome."""
        email = f"customer-{number}@kawa.fr"
        name = f"{number}.0"
        made = self._change(session, "created", name, "POST", "", {"name": name, "email": email})
        for step in range(1, STEPS):
            if made is None:
                return
            name = f"{number}.{step}"
            made = self._change(session, "updated", name, "PUT", f"/{made['id']}", {"name": name})
        if made is not None and number % 2 == 0:
            self._change(session, "deleted", name, "DELETE", f"/{made['id']}")

    def _change(
        self,
        session: requests.Session,
        act: str,
        name: str,
        method: str,
        path: str,
        body: object = None,
    ) -> Customer | None:
        change = Change(f"customer.{act}", name)
        try:
            answer = session.request(method, self.url + path, json=body, timeout=20)
        except NO_ANSWER:
            self.unsure.append(change)
            return None
        if not answer.ok:
            self.unsure.append(change)
            self.refused.append(answer.status_code)
            return None
        customer: Customer = answer.json()
        self.done.append((change, customer))
        return customer

    def wait_for_done(self, more: int, seconds: float = 60) -> None:
        """Wait until so many more changes are answered."""
        goal = len(self.done) + more
        wait_until(lambda: len(self.done) >= goal, seconds, f"{more} more changes")

    def rows(self) -> dict[int, Customer]:
        """The customers in the database, by id."""
        found = self._query(f"SELECT {', '.join(TOLD)} FROM customers")
        return {row[0]: dict(zip(TOLD, row, strict=True)) for row in found}

    def wait_until_all_is_told(self, seconds: float = 60) -> None:
        """Wait until the relay has nothing more to deliver."""
        wait_until(lambda: backlog.unsent(self.stack, "customers") == 0, seconds, "an empty outbox")

    def clear(self) -> None:
        """Delete all customers without events."""
        self._query("TRUNCATE customers")

    def _query(self, statement: str) -> list[Any]:
        with (
            closing(connect(self.stack, "customers")) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def agree_with(self, listener: Listener) -> None:
        """Fail unless each change has one event, in order for each customer.

        An unanswered change has an event if and only if the database has the change.
        """
        answered: dict[int, list[Change]] = defaultdict(list)
        for change, customer in self.done:
            answered[customer["id"]].append(change)
        told: dict[int, list[Change]] = defaultdict(list)
        state: dict[int, Customer] = {}
        for event in listener.events.values():
            data = event["data"]
            told[data["id"]].append(Change(event["type"], data["name"]))
            state[data["id"]] = data
        assert answered.keys() <= told.keys()
        for customer_id, changes in told.items():
            known = answered[customer_id]
            assert changes[: len(known)] == known
            # nobody changed a customer after its first unsure change
            assert changes[len(known) :] in ([], *([change] for change in self.unsure))
            if changes[-1].type == "customer.deleted":
                del state[customer_id]
        assert state == self.rows()
