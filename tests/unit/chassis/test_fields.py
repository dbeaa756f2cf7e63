"""Field types: what counts as a whole number, an amount, a reference, a title."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chassis.schema.fields import (
    ABSENT,
    BigInt,
    Change,
    Count,
    Flag,
    LongText,
    Money,
    Reference,
    Slug,
    Title,
)
from inventory.schemas import MovieChange
from orders.schemas import OrderChange

COUNT: TypeAdapter[int] = TypeAdapter(Count)
BIGINT: TypeAdapter[int] = TypeAdapter(BigInt)
MONEY: TypeAdapter[Decimal] = TypeAdapter(Money)
REFERENCE: TypeAdapter[str] = TypeAdapter(Reference)
TITLE: TypeAdapter[str] = TypeAdapter(Title)
LONG_TEXT: TypeAdapter[str] = TypeAdapter(LongText)
SLUG: TypeAdapter[str] = TypeAdapter(Slug)
FLAG: TypeAdapter[bool] = TypeAdapter(Flag)
ANY_JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(),
    st.text(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(), st.integers(), max_size=2),
)
HUGE = [Decimal("1E+999999"), Decimal("1E+1000000"), Decimal("-1E+999999999999999999")]
TINY = [Decimal("1E-9999999"), Decimal("1E-999999999999999999")]
NO_NUMBERS: list[Any] = [
    True,
    False,
    None,
    "",
    " ",
    "abc",
    "\uff11\uff18\uff10",
    "1_000",
    "0x10",
    [],
    {},
]


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (1, 1),
        (2_147_483_647, 2_147_483_647),
        ("5", 5),
        (" 5 ", 5),
        ("007", 7),
        (Decimal("5.0"), 5),
        (Decimal("1E+2"), 100),
    ],
)
def test_a_whole_number_is_a_count_also_as_a_string(given: object, count: int) -> None:
    assert COUNT.validate_python(given) == count


@pytest.mark.parametrize(
    "wrong",
    [
        *NO_NUMBERS,
        *HUGE,
        *TINY,
        0,
        -1,
        "-5",
        2_147_483_648,
        "2147483648",
        pytest.param("9" * 5000, id="5000 digits"),
        pytest.param(10**4000, id="10**4000"),
        1.5,
        5.0,
        "5.0",
        "1e2",
        Decimal("1.5"),
        Decimal("NaN"),
        Decimal("Infinity"),
    ],
)
def test_a_count_is_a_whole_number_from_1_to_2147483647(wrong: object) -> None:
    with pytest.raises(ValidationError):
        COUNT.validate_python(wrong)


def test_a_key_goes_up_to_the_greatest_64_bit_integer() -> None:
    assert BIGINT.validate_python(str(2**63 - 1)) == 2**63 - 1
    with pytest.raises(ValidationError):
        BIGINT.validate_python(str(2**63))


@pytest.mark.parametrize(
    ("given", "amount"),
    [
        (Decimal("99.97"), "99.97"),
        ("180", "180.00"),
        (" 180.5 ", "180.50"),
        (5, "5.00"),
        (Decimal("1E+2"), "100.00"),
        (Decimal("1.500"), "1.50"),
        ("0.10", "0.10"),
        (Decimal("9999999999.99"), "9999999999.99"),
        (0, "0.00"),
        (Decimal("-0"), "0.00"),
        ("-0.00", "0.00"),
        (Decimal("0E+99999999"), "0.00"),
    ],
)
def test_an_amount_has_two_decimals_however_it_was_written(given: object, amount: str) -> None:
    assert str(MONEY.validate_python(given)) == amount


@pytest.mark.parametrize(
    "wrong",
    [
        *NO_NUMBERS,
        *HUGE,
        *TINY,
        0.5,
        -1,
        "-0.01",
        "0.001",
        Decimal("0.001"),
        Decimal("0.01000000000000000000000000000000000000001"),
        Decimal("10000000000.00"),
        "10000000000",
        "9999999999.991",
        "1e2",
        "NaN",
        "Infinity",
        "1,5",
        "99.",
        ".5",
        pytest.param(10**4000, id="10**4000"),
        pytest.param("9" * 5000, id="5000 digits"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
    ],
)
def test_an_amount_is_whole_cents_within_the_limit(wrong: object) -> None:
    with pytest.raises(ValidationError):
        MONEY.validate_python(wrong)


@given(st.integers(0, 999_999_999_999))
def test_every_amount_of_cents_is_read_exactly_as_number_and_as_string(cents: int) -> None:
    amount = Decimal(cents).scaleb(-2)
    assert MONEY.validate_python(amount) == amount
    assert MONEY.validate_python(str(amount)) == amount


@pytest.mark.parametrize(
    ("given", "reference"),
    [("usr_123", "usr_123"), (123, "123"), (" a b ", "a b"), ("é" * 64, "é" * 64), (-5, "-5")],
)
def test_a_reference_is_text_or_a_whole_number_as_text(given: object, reference: str) -> None:
    assert REFERENCE.validate_python(given) == reference


@pytest.mark.parametrize(
    "wrong",
    [
        True,
        None,
        1.5,
        Decimal("1.5"),
        "",
        "  ",
        "a" * 65,
        10**64,
        pytest.param(10**4000, id="10**4000"),
        "a\0b",
        "\ud800",
        [],
    ],
)
def test_a_reference_has_1_to_64_characters(wrong: object) -> None:
    with pytest.raises(ValidationError):
        REFERENCE.validate_python(wrong)


def test_the_length_of_a_title_is_counted_in_characters_after_trimming() -> None:
    assert TITLE.validate_python(f" \t{'😀' * 255}\u00a0\n") == "😀" * 255
    with pytest.raises(ValidationError):
        TITLE.validate_python("x" * 256)


@pytest.mark.parametrize("wrong", ["", " \t\u2003", "a\0b", "\ud800", None, 5, True, ["a"]])
def test_a_title_is_text_that_is_not_empty(wrong: object) -> None:
    with pytest.raises(ValidationError):
        TITLE.validate_python(wrong)


def test_a_long_text_has_at_most_ten_thousand_characters() -> None:
    assert len(LONG_TEXT.validate_python("é" * 10_000)) == 10_000
    with pytest.raises(ValidationError):
        LONG_TEXT.validate_python("é" * 10_001)


@pytest.mark.parametrize("slug", ["a", "Z", "0", "-", "_", "x" * 64])
def test_a_slug_is_ascii_letters_digits_hyphens_and_underscores(slug: str) -> None:
    assert SLUG.validate_python(slug) == slug


@pytest.mark.parametrize(
    "wrong", ["", "x" * 65, "a.b", "a b", "a\n", "é", "\uff11", "#", "*", "\0", None, 1, True]
)
def test_anything_else_is_an_invalid_slug(wrong: object) -> None:
    with pytest.raises(ValidationError):
        SLUG.validate_python(wrong)


COMPOSED, DECOMPOSED = (
    "caf\u00e9 \u1f82 \uac01",
    "cafe\u0301 \u03b1\u0313\u0300\u0345 \u1100\u1161\u11a8",
)


@pytest.mark.parametrize("field", [TITLE, REFERENCE, LONG_TEXT])
def test_text_is_stored_in_nfc_however_it_came(field: TypeAdapter[str]) -> None:
    assert field.validate_python(COMPOSED) == field.validate_python(DECOMPOSED) == COMPOSED


def test_the_length_of_text_is_counted_in_nfc() -> None:
    assert REFERENCE.validate_python("e\u0301" * 64) == "\u00e9" * 64
    assert TITLE.validate_python("\u03b1\u0313\u0300\u0345" * 255) == "\u1f82" * 255
    with pytest.raises(ValidationError, match="must have at most 64 characters"):
        REFERENCE.validate_python("e\u0301" * 65)


def test_characters_that_only_look_alike_stay_distinct() -> None:
    assert TITLE.validate_python("\ufb01 \u2460 \uff21") == "\ufb01 \u2460 \uff21"


def test_marks_that_would_take_long_to_sort_are_refused() -> None:
    assert LONG_TEXT.validate_python("a" + "\u0345" * 15 + "\u0301" * 15)
    with pytest.raises(ValidationError, match="at most 30 combining marks"):
        LONG_TEXT.validate_python("a" + "\u0345\u0301" * 19_000)


def test_white_space_around_does_not_count_and_is_not_normalized_away_inside() -> None:
    assert TITLE.validate_python(" " * 100_000 + "e\u0301") == "\u00e9"


@pytest.mark.parametrize(
    ("field", "wrong", "told"),
    [
        (COUNT, 0, "must be a whole number from 1 to 2,147,483,647"),
        (COUNT, "", "must be a whole number from 1 to 2,147,483,647"),
        (COUNT, 2**31, "must be a whole number from 1 to 2,147,483,647"),
        (MONEY, -1, "must be an amount from 0 to 9,999,999,999.99, like 99.97"),
        (MONEY, "x", "must be an amount from 0 to 9,999,999,999.99, like 99.97"),
        (MONEY, 10**10, "must be an amount from 0 to 9,999,999,999.99, like 99.97"),
        (MONEY, "0.001", "must have at most two decimals"),
        (TITLE, " ", "must not be empty"),
        (TITLE, "x" * 256, "must have at most 255 characters"),
        (REFERENCE, "", "must not be empty"),
        (REFERENCE, None, "must be a string or a whole number"),
        (
            SLUG,
            "a.b",
            "must be 1 to 64 letters from a to z in either case, digits, hyphens, underscores",
        ),
        (FLAG, "1", "must be true or false"),
    ],
)
def test_a_refusal_names_the_accepted_values(
    field: TypeAdapter[object], wrong: object, told: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        field.validate_python(wrong)
    assert [fault["msg"] for fault in raised.value.errors()] == [told]


def test_a_flag_is_true_or_false_as_text() -> None:
    assert (FLAG.validate_python("true"), FLAG.validate_python("false")) == (True, False)


@pytest.mark.parametrize("wrong", ["True", "1", "0", "", "yes", "truefalse", 1, 0, [], {}, None])
def test_anything_else_is_an_invalid_flag(wrong: object) -> None:
    with pytest.raises(ValidationError):
        FLAG.validate_python(wrong)


@pytest.mark.parametrize("field", [COUNT, BIGINT, MONEY, REFERENCE, TITLE, LONG_TEXT])
@given(value=ANY_JSON)
def test_every_field_accepts_or_refuses_any_value(
    field: TypeAdapter[object], value: object
) -> None:
    try:
        read = field.validate_python(value)
    except ValidationError:
        return
    assert field.validate_python(read) == read


class Renaming(Change):
    """Changes of a thing: a name that can't be null, and a note that can."""

    refused = frozenset({"parts"})

    name: Title = ABSENT
    note: LongText | None = None
    parts: Count = ABSENT


@pytest.mark.parametrize("changes", [{"name": "a"}, {"note": None}, {"name": "a", "note": "b"}])
def test_a_change_tells_what_is_absent_from_null(changes: dict[str, Any]) -> None:
    assert Renaming.model_validate(changes).given == changes


@pytest.mark.parametrize(
    ("changes", "detail"), [({}, "must have name, note or both"), ({"name": None}, "valid string")]
)
def test_a_change_of_nothing_and_a_null_that_can_not_be_are_refused(
    changes: dict[str, Any], detail: str
) -> None:
    with pytest.raises(ValidationError, match=detail):
        Renaming.model_validate(changes)


class OnlyName(Change):
    """Changes of a thing that has nothing but a name."""

    name: Title = ABSENT


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (OnlyName, "must have name"),
        (MovieChange, "must have title, description or both"),
        (OrderChange, "must have customer_id, order_id or total_amount"),
    ],
)
def test_a_change_of_nothing_names_what_it_may_have(change: type[Change], detail: str) -> None:
    with pytest.raises(ValidationError) as raised:
        change.model_validate({})
    assert [error["msg"] for error in raised.value.errors()] == [detail]
