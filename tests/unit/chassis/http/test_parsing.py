"""Reading bodies, query strings and keys: what is refused, and how."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from werkzeug.exceptions import (
    BadRequest,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from chassis.errors import InvalidError, MalformedJsonError
from chassis.http import request as parsing
from chassis.schema.fields import BigInt, Count, Money, Schema, Title

APP = Flask("test")

CHUNKS = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


class Thing(Schema):
    """A schema for the tests."""

    title: Title
    count: Count = 1
    price: Money | None = None


class Selection(Schema):
    """A query for the tests."""

    title: str | None = None
    after: BigInt | None = Field(default=None)


@contextmanager
def posted(data: bytes, content_type: str | None = "application/json") -> Iterator[None]:
    """Be in a request with this body."""
    with APP.test_request_context("/", method="POST", data=data, content_type=content_type):
        yield


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/vnd.movie+json"],
)
def test_a_json_object_is_read_by_its_schema(content_type: str) -> None:
    with posted(b'{"title": " A ", "count": "3", "price": 1.10}', content_type):
        thing = parsing.body(Thing)
    assert (thing.title, thing.count, str(thing.price)) == ("A", 3, "1.10")


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/xml", "multipart/form-data", "json"]
)
def test_another_content_type_is_refused(content_type: str | None) -> None:
    with posted(b'{"title": "A"}', content_type), pytest.raises(UnsupportedMediaType):
        parsing.body(Thing)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{'title': 'A'}",
        b'{"title": "A"} trailing',
        b'{"title": "A",}',
        b'{"title": "\xff"}',
        b'{"title": "A", "count": NaN}',
        b'{"title": "A", "count": -Infinity}',
        b'{"title": "A", "count": 01}',
        b'{"title": "a\nb"}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        pytest.param(b"[" * 100_000, id="arrays nested 100,000 times"),
        pytest.param(b'{"title":' * 100_000, id="objects nested 100,000 times"),
    ],
)
def test_a_body_that_is_not_json_is_a_bad_request(data: bytes) -> None:
    with posted(data), pytest.raises((BadRequest, MalformedJsonError)):
        parsing.body(Thing)


@pytest.mark.parametrize("data", [b"[]", b"null", b"true", b'"title"', b"5", b"1.5", b"[{}]"])
def test_json_that_is_not_an_object_is_invalid(data: bytes) -> None:
    with posted(data), pytest.raises(InvalidError, match="must be a JSON object"):
        parsing.body(Thing)


@pytest.mark.parametrize(
    "number", ["1E+1000000", "1E+99999999999999999999", pytest.param("9" * 5000, id="5000 digits")]
)
def test_no_number_is_too_large_to_be_refused(number: str) -> None:
    data = f'{{"title": "A", "count": {number}, "price": {number}}}'
    with posted(data.encode()), pytest.raises((MalformedJsonError, InvalidError)):
        parsing.body(Thing)


def test_every_error_is_named_by_field() -> None:
    data = b'{"count": true, "colour": "red", "price": "0.001"}'
    with posted(data), pytest.raises(InvalidError) as raised:
        parsing.body(Thing)
    assert {fault.field: fault.detail for fault in raised.value.errors} == {
        "title": "is required",
        "count": "must be a whole number from 1 to 2,147,483,647",
        "price": "must have at most two decimals",
        "colour": "is not known here",
    }


def test_an_error_does_not_repeat_the_value() -> None:
    with posted(b'{"title": ["a secret"]}'), pytest.raises(InvalidError) as raised:
        parsing.body(Thing)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("size", [99, 100])
def test_a_route_may_take_less_than_the_application(size: int) -> None:
    data = b"x" * size
    with posted(data):
        assert parsing.raw_body(100) == data


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_long_for_its_route_is_refused_naming_the_limit(chunked: bool) -> None:
    stream, length = io.BytesIO(b"x" * 2049), {} if chunked else {"Content-Length": "2049"}
    with (
        APP.test_request_context(
            "/",
            method="POST",
            input_stream=stream,
            content_type="application/json",
            headers=length,
            environ_overrides=CHUNKS if chunked else {},
        ),
        pytest.raises(RequestEntityTooLarge, match=r"2,048 bytes \(2 KiB\)"),
    ):
        parsing.raw_body(2048)


@contextmanager
def posted_in_chunks(data: bytes, content_type: str = "application/json") -> Iterator[None]:
    """Be in a request whose body came in chunks, which the server has put together."""
    with APP.test_request_context(
        "/",
        method="POST",
        input_stream=io.BytesIO(data),
        content_type=content_type,
        environ_overrides=CHUNKS,
    ):
        yield


def test_json_in_chunks_that_is_cut_anywhere_is_refused_with_a_word_about_chunks() -> None:
    whole = '{"title": "Amélie", "count": 12}'.encode()
    with posted_in_chunks(whole):
        assert parsing.body(Thing).count == 12
    for end in range(1, len(whole)):
        said = "sent in chunks, which may be broken, or end too early"
        with posted_in_chunks(whole[:end]), pytest.raises(MalformedJsonError, match=said):
            parsing.whole_body()
    with posted_in_chunks(b""), pytest.raises(BadRequest, match="empty"):
        parsing.body(Thing)


@pytest.mark.parametrize("whole", [b"123", b"-1.5e10", b"true"])
def test_a_body_that_could_be_a_truncated_value_is_refused(whole: bytes) -> None:
    for end in range(1, len(whole) + 1):
        expected = pytest.raises((InvalidError, MalformedJsonError))
        with posted_in_chunks(whole[:end]), expected:
            parsing.body(Thing)


def test_errors_do_not_mention_chunks_of_a_body_that_is_not_json() -> None:
    with posted_in_chunks(b"{", "text/plain"):
        assert parsing.whole_body() == b"{"


def test_errors_do_not_mention_chunks_of_an_unchunked_body() -> None:
    with posted(b"{"), pytest.raises(MalformedJsonError) as raised:
        parsing.body(Thing)
    assert "chunks" not in str(raised.value)


def test_a_key_may_be_a_uuid_with_another_name() -> None:
    uid = uuid4()
    assert parsing.identifier(str(uid), parsing.UUID_KEY, "uid") == uid
    with pytest.raises(InvalidError, match="uid: "):
        parsing.identifier("17", parsing.UUID_KEY, "uid")


@given(
    st.from_regex(rb"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,24})?", fullmatch=True)
)
def test_any_json_number_is_read_or_refused(number: bytes) -> None:
    data = b'{"title": "A", "count": ' + number + b', "price": ' + number + b"}"
    with posted(data), suppress(InvalidError, MalformedJsonError):
        parsing.body(Thing)


@given(
    st.dictionaries(
        st.sampled_from(["title", "count", "price", "colour", "", "\ud800", "a\0"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers())),
    )
)
def test_any_object_is_read_or_refused_by_field(data: dict[str, object]) -> None:
    with posted(json.dumps(data).encode()):
        try:
            thing = parsing.body(Thing)
        except (InvalidError, MalformedJsonError) as error:
            assert not isinstance(error, InvalidError) or error.errors
        else:
            assert 1 <= len(thing.title) <= 255


def test_query_parameters_are_read_by_their_schema() -> None:
    with APP.test_request_context("/?title=%C3%A9%20%25&after=5"):
        selection = parsing.query(Selection)
    assert (selection.title, selection.after) == ("é %", 5)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("title=a&title=b", "title"),
        ("after=5&after=5", "after"),
        ("colour=red", "colour"),
        ("after=", "after"),
        ("after=abc", "after"),
    ],
)
def test_a_parameter_that_is_repeated_unknown_or_wrong_is_named(query: str, field: str) -> None:
    with APP.test_request_context(f"/?{query}"), pytest.raises(InvalidError) as raised:
        parsing.query(Selection)
    assert [fault.field for fault in raised.value.errors] == [field]


def test_white_space_around_a_value_is_bounded_since_link_repeats_it() -> None:
    with (
        APP.test_request_context(f"/?title=a{'+' * 25_000}&after=5"),
        pytest.raises(InvalidError, match="title: must have at most 25,000 characters"),
    ):
        parsing.query(Selection)
    with pytest.raises(InvalidError, match="order_id: must have at most 25,000 characters"):
        parsing.identifier("1" + " " * 25_000, parsing.BIGINT, "order_id")


def test_thousands_of_repeated_parameters_are_ten_and_a_number() -> None:
    query = "&".join(f"p{number}=1&p{number}=1" for number in range(1000))
    with APP.test_request_context(f"/?{query}"), pytest.raises(InvalidError) as raised:
        parsing.query(Selection)
    assert (len(raised.value.errors), raised.value.left_out) == (10, 990)


@pytest.mark.parametrize("key", ["", "abc", "0", "1.5"])
def test_an_invalid_key_is_refused_with_the_definition_of_a_key(key: str) -> None:
    with pytest.raises(InvalidError) as raised:
        parsing.identifier(key, parsing.BIGINT)
    assert str(raised.value) == "id: must be a whole number from 1 to 9,223,372,036,854,775,807"


def test_a_key_is_a_positive_64_bit_integer() -> None:
    assert parsing.identifier("9223372036854775807", parsing.BIGINT) == 2**63 - 1


@pytest.mark.parametrize(
    "key",
    [
        "0",
        "-1",
        "abc",
        "1.5",
        "9223372036854775808",
        "\uff11",
        "²",
        "",
        "1e3",
        "\0",
        pytest.param("9" * 5000, id="5000 digits"),
    ],
)
def test_any_other_key_is_invalid_as_the_field_id(key: str) -> None:
    with pytest.raises(InvalidError) as raised:
        parsing.identifier(key, parsing.BIGINT)
    assert [fault.field for fault in raised.value.errors] == ["id"]


@given(st.text())
def test_any_text_is_read_as_a_key_or_refused(text: str) -> None:
    with suppress(InvalidError):
        assert parsing.identifier(text, parsing.BIGINT) >= 1
