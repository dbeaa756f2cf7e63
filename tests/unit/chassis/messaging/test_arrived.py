"""Waiting for messages in the main thread, which also runs the handlers of signals."""

import queue
import signal
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from chassis.messaging.subscription import Subscription
from chassis.settings import BrokerSettings

LONG = 20.0  # seconds; the wait is endless if it lasts so long


@pytest.fixture
def arrived() -> Iterator[queue.Queue[object]]:
    """What arrives from a broker that is never connected to, with a signal that comes once."""
    settings = BrokerSettings(
        host="127.0.0.1",
        port=1,
        user="user",
        password=SecretStr("secret"),
        vhost="vhost",
        queue="queue",
    )
    signals = iter((False, True))

    def outlast(_number: int, _frame: object) -> None:
        if next(signals):
            raise TimeoutError("the wait did not end")
        time.sleep(0.1)

    former = signal.signal(signal.SIGALRM, outlast)
    signal.setitimer(signal.ITIMER_REAL, 0.02, LONG)
    yield Subscription(settings, "test", []).arrived  # type: ignore[misc]
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)


def test_a_wait_ends_though_a_signal_handler_takes_longer(arrived: queue.Queue[object]) -> None:
    with pytest.raises(queue.Empty):
        arrived.get(True, 0.06)
