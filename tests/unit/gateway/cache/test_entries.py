"""Answers keep their fields and bodies as Redis keeps them."""

import pytest

from gateway.cache import entries
from gateway.cache.entries import Fields


@pytest.mark.parametrize("fields", [[], [("ETag", '"1"'), ("X-A", ""), ("X-A", "b: \x85c")]])
@pytest.mark.parametrize("body", [b"", b"\n\n{}\n\n"])
def test_an_answer_comes_back_as_it_was(fields: Fields, body: bytes) -> None:
    entry = entries.decode(entries.encode(fields, body, 60))
    assert (entry.fields, entry.body, entry.age, entry.ttl) == (fields, body, 0, 60)
