"""A client that publishes persistent messages with up to 1000 unconfirmed: the broker's own limit.

python -m tools.bench.baselines.window QUEUE COUNT

Prints how many seconds it took. Unlike the gateway it does nothing else.
"""

import os
import sys
import time
import uuid

import pika
from pika.channel import Channel

WINDOW = 1000
BODY = b'{"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}'
Answer = pika.frame.Method[pika.spec.Basic.Ack | pika.spec.Basic.Nack]


class Window:
    """Publishes `count` bills to a queue on one connection."""

    def __init__(self, queue: str, count: int) -> None:
        self._queue = queue
        self._left = count
        self._unconfirmed: set[int] = set()
        self._tag = 0
        self._began = 0.0
        self.seconds = 0.0

    def run(self) -> None:
        """Publish all bills and wait for the last confirm."""
        parameters = pika.URLParameters(os.environ["RABBITMQ_URL"])
        connection = pika.SelectConnection(parameters, on_open_callback=self._opened)
        connection.ioloop.start()

    def _opened(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._ready)

    def _ready(self, channel: Channel) -> None:
        self._channel = channel
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._begin())

    def _begin(self) -> None:
        self._began = time.monotonic()
        self._fill()

    def _fill(self) -> None:
        while self._left and len(self._unconfirmed) < WINDOW:
            properties = pika.BasicProperties(delivery_mode=2, message_id=str(uuid.uuid4()))
            self._channel.basic_publish("", self._queue, BODY, properties)
            self._left -= 1
            self._tag += 1
            self._unconfirmed.add(self._tag)

    def _confirmed(self, frame: Answer) -> None:
        tag = frame.method.delivery_tag
        settled = {t for t in self._unconfirmed if t <= tag} if frame.method.multiple else {tag}
        self._unconfirmed -= settled
        if self._left:
            self._fill()
        elif not self._unconfirmed:
            self.seconds = time.monotonic() - self._began
            self._channel.connection.ioloop.stop()


def main(queue: str, count: str) -> None:
    """Publish, and print how many seconds it took."""
    window = Window(queue, int(count))
    window.run()
    sys.stdout.write(f"{window.seconds:.6f}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
