"""Messages that stay in hand: for locked rows, or until another message decides about them."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from chassis.messaging import lock_waits, undecided, window
from chassis.messaging.delivery import Delivery
from chassis.messaging.lock_waits import LockWaits
from chassis.messaging.subscription import Subscription
from chassis.messaging.undecided import Undecided
from tests.support.settings import NOWHERE

HOUR = 3600.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The time that all of this looks at; a test sets `now`."""
    clock = SimpleNamespace(now=1000.0)
    time = SimpleNamespace(monotonic=lambda: clock.now)
    for module in (lock_waits, undecided):
        monkeypatch.setattr(module, "time", time)
    return clock


def delivery(is_open: bool = True) -> Any:
    """A message, on a channel of its own."""
    return Delivery(Mock(is_open=is_open), 1, b"{}", Mock())


def test_a_lock_wait_after_an_hours_outage_is_due_again_within_seconds(clock: Any) -> None:
    waits, message = LockWaits(), delivery()
    waits.add("order 1", message)
    assert waits.due() == [message]
    waits.add("order 1", message)
    clock.now += HOUR
    waits.rest()
    assert waits.due() == []
    clock.now += 10
    assert waits.due() == [message]


def test_messages_of_a_lost_channel_wait_for_no_lock(clock: Any) -> None:
    waits, lost, other = LockWaits(), delivery(), delivery()
    waits.add("order 1", lost)
    waits.add("order 2", other)
    waits.rest()
    lost.channel.is_open = False
    assert waits.due() == []
    assert waits.deliveries() == [other]
    assert not waits.holds("order 1")


def test_undecided_messages_are_retried_some_at_a_time(clock: Any) -> None:
    waiting, messages = Undecided(), [delivery() for _ in range(120)]
    waiting.add(messages)
    first = waiting.due(has_company=True)
    assert first == messages[:50]
    waiting.add(first)
    assert waiting.due(has_company=True) == messages[50:100]
    assert waiting.due(has_company=False) == []
    clock.now += 2
    assert waiting.due(has_company=False)[:20] == messages[100:]


def test_a_success_decides_earlier_failures_only(clock: Any) -> None:
    waiting, before, after = Undecided(), delivery(), delivery()
    waiting.add([before])
    waiting.note_success()
    waiting.add([after])
    assert waiting.decidable() == [before]
    assert waiting.decidable() == []
    assert waiting.deliveries() == [after]


def test_an_old_success_decides_nothing(clock: Any) -> None:
    waiting, message = Undecided(), delivery()
    waiting.add([message])
    waiting.note_success()
    clock.now += HOUR
    assert waiting.decidable() == []
    assert waiting.deliveries() == [message]


def test_undecided_messages_of_a_lost_channel_are_dropped(clock: Any) -> None:
    waiting, lost, other = Undecided(), delivery(), delivery()
    waiting.add([lost, other])
    lost.channel.is_open = False
    assert waiting.decidable() == []
    assert waiting.deliveries() == [other]


class FakeChannel:
    """A channel on which the broker confirms everything at once."""

    def __init__(self) -> None:
        self.is_open = True
        self.consumes = self.tag = 0
        self.rejected: list[int] = []

    def basic_qos(self, prefetch_count: int) -> None:
        """Take any prefetch."""

    def basic_consume(self, *_given: Any, callback: Any) -> str:
        """Count the subscriptions."""
        self.consumes += 1
        return f"tag{self.consumes}"

    def basic_cancel(self, _tag: str, confirm: Any) -> None:
        """Cancel at once."""
        confirm(None)

    def basic_reject(self, tag: int, requeue: bool) -> None:
        """Note what comes back to the queue."""
        self.rejected.append(tag)

    def basic_ack(self, tag: int, multiple: bool) -> None:
        """Take any acknowledgement."""


def deliver(to: Subscription, channel: FakeChannel, size: int) -> int:
    """Deliver a message; return its tag."""
    channel.tag += 1
    method: Any = SimpleNamespace(delivery_tag=channel.tag, redelivered=False)
    to._deliver(channel, method, Mock(), b"x" * size)  # type: ignore[arg-type]
    return channel.tag


def test_a_message_that_does_not_fit_is_not_fetched_again_before_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window, "MOST_OCTETS", 64)
    own, channel = Subscription(NOWHERE, "test", []), FakeChannel()
    own._guard = Mock()
    own.channel = channel  # type: ignore[assignment]
    own._begin(channel)  # type: ignore[arg-type]
    small = deliver(own, channel, 1)
    before = channel.consumes
    large = deliver(own, channel, 70)
    assert channel.rejected == [large]
    assert channel.consumes == before
    own._acknowledge(channel, [small], multiple=False)  # type: ignore[arg-type]
    assert channel.consumes == before + 1
    deliver(own, channel, 70)
    assert channel.rejected == [large]
