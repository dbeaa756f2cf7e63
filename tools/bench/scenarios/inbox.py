"""Applying events while the inbox has few and many marks."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pika

from chassis.messaging import cloudevents
from tools.bench import growth
from tools.bench.environment import Environment
from tools.bench.figures import Result, Sample
from tools.bench.measure import Candidate, interleaved
from tools.stack.layout import TOPOLOGY
from tools.stack.servers.amqp import connect
from tools.stack.waiting import wait_until

TITLE = "Applying events with many marks in the inbox"
APPLY = "applying"
DATABASE, PROCESS, EXCHANGE = "orders", "orders-consumer", "customer_events"
QUEUE = next(queue.name for queue in TOPOLOGY.queues if EXCHANGE in dict(queue.bindings))
SECONDS = 600.0
# no customer of the benchmark has such an id
FIRST_ID = 1_000_000_000
FILL = """
    INSERT INTO inbox (consumer, message_id)
    SELECT %s, md5(n::text)::uuid::text FROM generate_series(1, %s) n
"""


@dataclass(frozen=True)
class Turn:
    """A turn of orders-consumer.

    Attributes:
        environment: where.
        marks: how many events were applied before.
        events: how many wait.
    """

    environment: Environment
    marks: int
    events: int

    @contextmanager
    def around(self) -> Iterator[None]:
        """Fill the inbox, and publish the events while nothing takes them."""
        call, query = self.environment.stack.process_manager.call, self.environment.query
        self.environment.settle()
        call("stop", PROCESS)
        try:
            query(DATABASE, FILL, PROCESS, self.marks)
            query(DATABASE, "VACUUM ANALYZE inbox")
            self._publish()
            yield
        finally:
            call("stop", PROCESS)
            query(DATABASE, "TRUNCATE inbox")
            query(DATABASE, "DELETE FROM customers WHERE id >= %s", FIRST_ID)
            call("start", PROCESS)

    def _publish(self) -> None:
        with closing(connect(self.environment.stack.rabbitmq)) as connection:
            channel = connection.channel()
            for number in range(self.events):
                data = {"id": FIRST_ID + number, "name": "Ada", "email": f"{number}@kawa.fr"}
                event = cloudevents.event(EXCHANGE, "customer.created", "bench", data)
                properties = pika.BasicProperties(
                    content_type=event.content_type, message_id=event.id, delivery_mode=2
                )
                channel.basic_publish(EXCHANGE, event.routing_key, event.body, properties)
        wait_until(lambda: self._waiting() >= self.events, 60, "the events to wait")

    def _waiting(self) -> int:
        return self.environment.waiting(QUEUE)

    def run(self) -> Sample:
        """Start the consumer and wait until all is applied; its start-up time does not count."""
        self.environment.stack.process_manager.call("start", PROCESS)
        wait_until(lambda: self._applied() > 0, 60, "the first event to be applied", poll=0.005)
        began, first = time.monotonic(), self._applied()
        wait_until(lambda: self._applied() >= self.events, SECONDS, "the events to be applied", 0.1)
        return Sample((self.events - first) / (time.monotonic() - began), units=self.events)

    def _applied(self) -> int:
        statement = "SELECT count(*) FROM customers WHERE id >= %s"
        return int(self.environment.query(DATABASE, statement, FIRST_ID)[0][0])


def measure(environment: Environment) -> Result:
    """Measure how fast orders-consumer applies events of customers."""
    sizes = environment.sizes
    counts = (0, sizes.many_messages)
    candidates = [
        Candidate(
            growth.name(APPLY, marks),
            f"orders-consumer, {turn.events:,} events of customers, {marks:,} marks in its inbox",
            turn.run,
            turn.around,
        )
        for marks in counts
        for turn in [Turn(environment, marks, sizes.relayed)]
    ]
    figures = interleaved(environment.stack, candidates, sizes.rounds)
    found = [growth.rates(APPLY, counts, figures)]
    return Result("growth-inbox", TITLE, figures, found, unit="event")
