"""Waiting for messages in the main thread, which also runs the handlers of signals."""

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chassis.messaging.arrivals import Arrivals

LONG = 20.0  # seconds; the wait is endless if it lasts so long


@pytest.fixture
def arrived() -> Iterator[Arrivals]:
    """Nothing has arrived; a signal comes once."""
    signals = iter((False, True))

    def outlast(_number: int, _frame: object) -> None:
        if next(signals):
            raise TimeoutError("the wait did not end")
        time.sleep(0.1)

    former = signal.signal(signal.SIGALRM, outlast)
    signal.setitimer(signal.ITIMER_REAL, 0.02, LONG)
    yield Arrivals()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)


def test_a_wait_ends_though_a_signal_handler_takes_longer(arrived: Arrivals) -> None:
    assert arrived.take(0.06) is None


def test_messages_are_taken_in_their_order_and_none_is_missed() -> None:
    arrived, number = Arrivals(), 20_000
    messages: list[Any] = [object() for _ in range(number)]

    def put() -> None:
        for message in messages:
            arrived.put(message)

    thread = threading.Thread(target=put)
    thread.start()
    assert [arrived.take(LONG) for _ in messages] == messages
    thread.join()
    assert arrived.take(0) is None
