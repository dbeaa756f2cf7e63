"""JSON, decoded in one way; and what is said of text that is none."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import InvalidError, MalformedJsonError
from chassis.schema.decoding import decode, decode_members

THEIRS = ("Expecting", "Unterminated", "Invalid", "Extra data", "char ", "codec")


def told(data: bytes) -> str:
    """What is said of text that is not JSON."""
    with pytest.raises(MalformedJsonError) as raised:
        decode(data)
    return str(raised.value)


def repeated(data: str) -> list[str]:
    """Where names are given twice."""
    with pytest.raises(InvalidError) as raised:
        decode(data.encode())
    assert {fault.detail for fault in raised.value.errors} == {"must be given once"}
    return [fault.field for fault in raised.value.errors]


def test_decimals_pass_through_no_binary_float() -> None:
    assert decode(b"0.1000000000000000000000001") == Decimal("0.1000000000000000000000001")


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(MalformedJsonError, InvalidError):
        decode(data)


CUT = (
    b'{"user_id": "12", "number_of_items": 10, "total_amount": 180.55}',
    """{"a": [1, -2.5e+10, {"b": null}], "\u00e9": "\U0001f600 }", "c": {}, "d": ""}""".encode(),
    rb'{"escaped": "\\ \" \ud83d\ude00", "nested": {"ends": "}}"}}',
    b" \r\n\t[[], [1, [true]], {}]",
    b'"processing"',
    b"{}",
)


@pytest.mark.parametrize("data", CUT)
def test_no_beginning_of_an_object_an_array_or_a_string_is_one_wherever_it_is_cut(
    data: bytes,
) -> None:
    decode(data)
    for end in range(len(data)):
        for decoded in (decode, decode_members):
            with pytest.raises(MalformedJsonError):
                decoded(data[:end])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.booleans(), st.data())
def test_no_beginning_of_any_object_is_json(
    document: dict[str, object], ascii_only: bool, data: st.DataObject
) -> None:
    # half of a pair of surrogates can't be written in UTF-8
    body = json.dumps(document, ensure_ascii=ascii_only).encode(errors="replace")
    end = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(MalformedJsonError):
        decode_members(body[:end])


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ('{"total_amount": 1, "total_amount": 2}', ["total_amount"]),
        ('{"a": 1, "a": 1, "a": 1}', ["a"]),
        (r'{"a": 1, "\u0061": 2}', ["a"]),
        ('{"a": {"x": 1, "x": 2}, "b": [{"y": 1}, {"y": 1, "y": null}]}', ["a.x", "b.1.y"]),
        ('[{"a": 1}, {"a": 1, "a": 1}]', ["1.a"]),
        ('{"": 1, "": 2}', [""]),
        ('{"a": {"b": 1}, "a": {"b": 1, "b": 2}}', ["a", "a.b"]),
    ],
)
def test_each_repeated_name_is_named_with_its_place(data: str, fields: list[str]) -> None:
    assert repeated(data) == fields


def test_the_same_name_in_two_objects_is_no_name_twice() -> None:
    assert decode(b'{"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}')


def test_very_many_repeated_names_are_ten_and_a_number() -> None:
    names = ",".join(f'"{number}":0,"{number}":0' for number in range(20_000))
    with pytest.raises(InvalidError) as raised:
        decode(f"{{{names}}}".encode())
    assert len(raised.value.errors) == 10
    assert raised.value.left_out == 19_990
    assert str(raised.value).endswith("; and 19,990 more")


def test_an_object_that_is_broken_behind_a_repeated_name_is_not_json() -> None:
    assert told(b'{"a": {"b": 1, "b": 2}, ').startswith("is not JSON: ")


def test_a_repeated_name_is_found_at_any_depth() -> None:
    depth = 300
    data = '{"a":' * depth + '{"b":1,"b":2}' + "}" * depth
    assert repeated(data)[0].startswith("a.a.a.")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xef\xbb\xbf{}", "begins with a byte order mark (U+FEFF); leave it out"),
        ('{"a": 1}'.encode("utf-16"), "is encoded in UTF-16; send UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "is encoded in UTF-16; send UTF-8"),
        ('{"a": 1}'.encode("utf-16-be"), "is encoded in UTF-16; send UTF-8"),
        ('{"a": 1}'.encode("utf-32"), "is encoded in UTF-32; send UTF-8"),
        ('{"a": 1}'.encode("utf-32-be"), "is encoded in UTF-32; send UTF-8"),
        (b'{"a": "\xff"}', "is not encoded in UTF-8"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[1,\n NaN]", "is not JSON: NaN is not a number in JSON"),
        (b"1e99999999999999999999", "is not JSON: a number has an exponent out of all bounds"),
        (b"9" * 1001, "is not JSON: a number has more than 1,000 digits"),
        (b" ", "is not JSON: a value is missing, at line 1, column 2"),
        (b'{"a": }', "is not JSON: a value is missing, at line 1, column 7"),
        (b"{'a': 1}", "is not JSON: a name in double quotes is missing, at line 1, column 2"),
        (b'{"a" 1}', "is not JSON: a colon is missing, at line 1, column 6"),
        (b'{"a": 1\n "b": 2}', "is not JSON: a comma is missing, at line 2, column 2"),
        (b'["a', "is not JSON: a string does not end, at line 1, column 2"),
        (b"[] []", "is not JSON: there is something behind the value, at line 1, column 4"),
        (b'["a\nb"]', "has a control character that is not escaped, at line 1, column 4"),
        (rb'["\x"]', "has a backslash before a character that needs none, at line 1, column 3"),
        (rb'["\u00"]', "has a \\u without four hexadecimal digits behind it"),
    ],
)
def test_the_error_of_invalid_json_names_its_place(data: bytes, said: str) -> None:
    assert said in told(data)


@given(st.text(alphabet='{}[]",:\\ntrue019.eE-u \n'))
def test_no_message_of_the_library_is_shown(text: str) -> None:
    try:
        decode(text.encode())
    except (MalformedJsonError, InvalidError) as error:
        assert not any(theirs in str(error) for theirs in THEIRS)
        assert "something is wrong" not in str(error)
    else:
        assert json.loads(text) is not ...
