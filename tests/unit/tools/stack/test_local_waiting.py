"""Waiting for a condition, with an end."""

from itertools import count

import pytest

from tools.stack.errors import StackError
from tools.stack.waiting import wait_for, wait_until


def test_what_the_condition_holds_of_is_returned_and_nothing_is_looked_at_after_it() -> None:
    numbers = count()
    assert wait_for(lambda: next(numbers), lambda seen: seen == 3, 10, "three", 0.001) == 3
    assert next(numbers) == 4


def test_what_is_waited_for_in_vain_is_named_after_one_look_at_least() -> None:
    numbers = count()
    with pytest.raises(StackError, match=r"^Waited 0 s in vain for a miracle\.$"):
        wait_until(lambda: next(numbers) > 0, 0, "a miracle")
    assert next(numbers) == 1
