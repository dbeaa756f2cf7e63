"""The pause after a batch."""

import pytest

from chassis.gathering import pause_after


@pytest.mark.parametrize("messages", [0, 1])
def test_a_message_alone_is_followed_by_no_pause(messages: int) -> None:
    assert pause_after(messages, took=0.02) == 0


@pytest.mark.parametrize("messages", [50, 200, 1000])
def test_a_large_batch_is_followed_by_the_next_at_once(messages: int) -> None:
    assert pause_after(messages, took=0.02) == 0


@pytest.mark.parametrize("messages", [2, 49])
def test_after_a_small_batch_the_pause_grows_with_the_work(messages: int) -> None:
    assert pause_after(messages, took=0.001) == pytest.approx(0.004)
    assert pause_after(messages, took=0.01) == pytest.approx(0.04)


def test_no_pause_is_longer_than_a_tenth_of_a_second() -> None:
    assert pause_after(2, took=3.0) == 0.1
