"""Clients of the system tests: they post bills, and read billing_db and the queues."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import pika
import requests

from tests.support.at_work import at_work
from tests.support.stack import quiet
from tools.stack.servers.databases import connect as connect
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

# errors of a request without a complete answer
NO_ANSWER = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
GOOD = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}


@contextmanager
def locked_bills(stack: Stack) -> Iterator[None]:
    """Block the recording of bills, for a block."""
    with closing(connect(stack, "billing")) as connection:
        connection.cursor().execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


class Bills:
    """Bills as clients, the queue and the database have them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.accepted: list[str] = []
        self.refused: list[int] = []
        self.unanswered = 0

    def post(self, body: object = GOOD, **headers: str) -> requests.Response:
        """Post one bill and remember its id if it was accepted."""
        address = f"{self.stack.url}/api/billing"
        answer = requests.post(address, json=body, headers=headers, timeout=20)
        if answer.status_code == 202:
            self.accepted.append(answer.json()["id"])
        else:
            self.refused.append(answer.status_code)
        return answer

    @contextmanager
    def traffic(self, clients: int = 4) -> Iterator[None]:
        """Post from several clients at once until the block ends."""
        with at_work(*[self._post_until] * clients):
            yield

    def _post_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.post()
            except NO_ANSWER:
                # no answer, no promise; the bill may be recorded or not
                self.unanswered += 1
            # a fault needs some bills in flight, and not all that the cores can take
            stop.wait(0.05)

    def wait_for_accepted(self, more: int) -> None:
        """Wait until so many more bills are accepted."""
        goal = len(self.accepted) + more
        wait_until(lambda: len(self.accepted) >= goal, 30, f"{more} more bills to be accepted")

    def recorded(self) -> set[str]:
        """The message ids in billing_db, where each is unique."""
        return {message_id for (message_id,) in self.query("SELECT message_id FROM orders")}

    def query(self, statement: str) -> list[Any]:
        """Run a query in billing_db."""
        with (
            closing(connect(self.stack, "billing")) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def wait_until_all_are_recorded(self, seconds: float = 60) -> None:
        """Wait until every accepted bill is recorded, then check that there is no other."""
        wanted = set(self.accepted)
        wait_until(lambda: wanted <= self.recorded(), seconds, "every 202 to be recorded")
        assert len(wanted) == len(self.accepted)
        assert len(self.recorded() - wanted) <= self.unanswered

    def waiting(self, queue: str = "billing_queue") -> int:
        """How many messages are ready in a queue."""
        with closing(self._connection()) as connection:
            declared = connection.channel().queue_declare(queue, passive=True)
            return int(declared.method.message_count)

    def publish_by_hand(self, body: object, message_id: str | None = None) -> None:
        """Publish as another client would, past the gateway."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with closing(self._connection()) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            properties = pika.BasicProperties(message_id=message_id)
            channel.basic_publish("", "billing_queue", data, properties)

    def publish_many(self, message_ids: list[str]) -> None:
        """Publish a good bill under each id, past the gateway."""
        with closing(self._connection()) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for message_id in message_ids:
                properties = pika.BasicProperties(message_id=message_id, delivery_mode=2)
                channel.basic_publish("", "billing_queue", json.dumps(GOOD).encode(), properties)

    def _connection(self) -> pika.BlockingConnection:
        variables = self.stack.variables
        user, password = variables["RABBITMQ_USER"], variables["RABBITMQ_PASSWORD"]
        return pika.BlockingConnection(
            pika.ConnectionParameters(
                variables["RABBITMQ_HOST"],
                int(variables["RABBITMQ_PORT"]),
                variables["RABBITMQ_VHOST"],
                pika.PlainCredentials(user, password),
            )
        )

    def settle(self) -> None:
        """Wait until no bill is in flight, including those of other tests and of orders."""
        wait_until(lambda: quiet.is_quiet(self.stack), 60, "what others have left to arrive")
        # messages that are being delivered are recorded before this one
        last = uuid4().hex
        self.publish_many([last])
        wait_until(lambda: last in self.recorded(), 60, "a last bill to be recorded")
        wait_until(lambda: quiet.is_quiet(self.stack), 60, "the last bill to be acknowledged")

    def clear(self) -> None:
        """Empty queues and table."""
        with closing(self._connection()) as connection:
            for queue in ("billing_queue", "billing_queue.dlq"):
                connection.channel().queue_purge(queue)
        self.query("TRUNCATE orders")
