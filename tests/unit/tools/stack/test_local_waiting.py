"""Waiting for a condition, with an end."""

from itertools import count

import pytest

from tools.stack.errors import StackError
from tools.stack.waiting import wait_for, wait_until


def test_a_wait_returns_the_first_value_that_meets_the_condition() -> None:
    numbers = count()
    assert wait_for(lambda: next(numbers), lambda seen: seen == 3, 10, "three", 0.001) == 3
    assert next(numbers) == 4


def test_a_wait_in_vain_names_its_condition_after_at_least_one_check() -> None:
    numbers = count()
    with pytest.raises(StackError, match=r"^Waited 0 s in vain for a miracle\.$"):
        wait_until(lambda: next(numbers) > 0, 0, "a miracle")
    assert next(numbers) == 1
