"""JSON of any shape: what jsonb can hold, and where it can't."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidError, MalformedJsonError
from gateway import jsonb


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_accepted_or_refused(data: bytes) -> None:
    with suppress(MalformedJsonError, InvalidError):
        jsonb.check(data)


def test_a_hundred_levels_are_accepted_and_one_more_is_not() -> None:
    jsonb.check(b'{"a":' + b"[" * 99 + b"]" * 99 + b"}")
    for levels in (100, 900, 50_000):
        with pytest.raises(MalformedJsonError):
            jsonb.check(b'{"a":' + b"[" * levels + b"]" * levels + b"}")


def test_each_place_is_named_ten_at_most() -> None:
    with pytest.raises(InvalidError) as raised:
        jsonb.check(b'{"a": [%s]}' % b",".join([rb'"\u0000"'] * 1000))
    assert [fault.field for fault in raised.value.errors] == [f"a.{index}" for index in range(10)]
    assert raised.value.left_out == 990


def test_a_repeated_name_is_named_even_if_escaped_differently() -> None:
    with pytest.raises(InvalidError) as raised:
        jsonb.check(rb'{"a": {"x": 1, "\u0078": 1}, "x": 1, "b": [{"x": 1}, {"x": 1}]}')
    assert [fault.field for fault in raised.value.errors] == ["a.x"]


def test_numbers_that_would_fill_the_memory_when_written_out_are_refused_once() -> None:
    with pytest.raises(InvalidError) as raised:
        jsonb.check(b'{"a": [%s]}' % b",".join([b"1e131071"] * 20_000))
    assert [fault.field for fault in raised.value.errors] == ["a.2"]
