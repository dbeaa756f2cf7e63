"""Times as RFC 3339 writes them, and what is said of those that are not."""

from datetime import datetime, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from chassis.schema.timestamps import Moment, QueryMoment

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
QUERY: TypeAdapter[datetime] = TypeAdapter(QueryMoment)
YEARS = "must be in the years 0001 to 9999 of UTC"
COLON = "must have its offset with a colon, like +02:00"
LEAP = "has a leap second, which is not known here; write second 59, or the next minute"
LOST = "must have + or - before its offset"


def told(kind: TypeAdapter[datetime], wrong: object) -> str:
    """What is said of a time that is refused."""
    with pytest.raises(ValidationError) as raised:
        kind.validate_python(wrong)
    [fault] = raised.value.errors()
    return fault["msg"]


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2024-09-30T18:07:44Z", datetime(2024, 9, 30, 18, 7, 44)),
        ("2024-09-30t18:07:44.5z", datetime(2024, 9, 30, 18, 7, 44, 500_000)),
        ("2024-09-30T18:07:44.171754999+02:30", datetime(2024, 9, 30, 15, 37, 44, 171_754)),
        ("2024-09-30T18:07:44-23:59", datetime(2024, 10, 1, 18, 6, 44)),
    ],
)
def test_a_time_with_an_offset_is_converted_to_utc(given: str, moment: datetime) -> None:
    assert MOMENT.validate_python(given) == moment.replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "now",
        "2024-09-30",
        "2024-09-30T18:07:44",
        "2024-09-30T18:07:44 02:00",
        "2024-09-30 18:07:44Z",
        "2024-02-30T18:07:44Z",
        "2024-09-30T24:07:44Z",
        "2024-09-30T18:07:60Z",
        "2024-09-30T18:07:44+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "\uff12024-09-30T18:07:44Z",
        "1727719664",
        1727719664,
        None,
        True,
    ],
)
def test_a_time_needs_an_offset(wrong: object) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(wrong)


@pytest.mark.parametrize("kind", [MOMENT, QUERY], ids=["elsewhere", "query"])
@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("2024-09-30T18:07:44+0000", COLON),
        ("2024-09-30T18:07:44.5-0230", COLON),
        ("2024-09-30T18:07:44+02", COLON),
        ("2024-12-31T23:59:60Z", LEAP),
        ("2024-12-31t23:59:60.5+00:00", LEAP),
        ("0000-01-01T00:00:00Z", YEARS),
        ("10000-01-01T00:00:00Z", YEARS),
        ("+12024-01-01T00:00:00Z", YEARS),
        ("-0001-01-01T00:00:00Z", YEARS),
        ("0001-01-01T00:00:00+01:00", YEARS),
        ("9999-12-31T23:59:59-01:00", YEARS),
        ("2024-09-30", "must have a time of day and its offset, too, like 2024-09-30T18:07:44Z"),
        ("2024-09-30T18:07Z", "must have seconds, like 2024-09-30T18:07:44Z"),
        (
            "2024-09-30 18:07:44Z",
            "must have a T between date and time of day, like 2024-09-30T18:07:44Z",
        ),
        (
            "2024-09-30T18:07:44",
            "must have its offset behind it: Z, or hours and minutes like +02:00",
        ),
        ("2024-09-30T18:07:44 Z", "must have no space before its offset"),
        ("2024-02-30T18:07:44Z", "is a time that does not exist"),
        ("2024-09-30T25:07:44Z", "is a time that does not exist"),
        ("30/09/2024", "must be a time with its offset, like 2024-09-30T18:07:44Z"),
        ("", "must be a time with its offset, like 2024-09-30T18:07:44Z"),
        (None, "must be a time with its offset, like 2024-09-30T18:07:44Z"),
    ],
)
def test_the_error_of_an_invalid_time_names_what_is_missing(
    kind: TypeAdapter[datetime], wrong: object, advice: str
) -> None:
    assert told(kind, wrong) == advice


@pytest.mark.parametrize("lost", ["2024-09-30T18:07:44 02:00", "2024-09-30T18:07:44.5 0000"])
def test_the_advice_for_queries_is_given_to_queries_alone(lost: str) -> None:
    assert told(QUERY, lost) == f"{LOST}; in a query, write + as %2B"
    assert told(MOMENT, lost) == f"{LOST}, like +02:00"
