"""What is wrong with data is told in our words, and never at any length."""

import json
from typing import Annotated, get_args

import pytest
from pydantic import BaseModel, Field
from pydantic_core import _pydantic_core, core_schema
from werkzeug.exceptions import HTTPException, MethodNotAllowed, default_exceptions

from chassis.errors import FieldError, InvalidError
from chassis.http import problems
from chassis.schema import validation
from chassis.schema.error_texts import SENTENCES, STATUSES
from chassis.schema.fields import Schema
from chassis.schema.validation import Faults, path, validated

FINDINGS = {str(finding["type"]): finding for finding in _pydantic_core.list_all_errors()}
# of which the limit is said, which depends on the request
LIMITED = {413}
THEIRS = ("Input should", "String should", "Value ", "valid ", "after validation", "Decimal ")


class Line(Schema):
    """A schema inside another."""

    name: str


class Thing(Schema):
    """A schema for the tests."""

    title: str
    since: int = Field(default=0, alias="from")
    lines: Annotated[list[Line], Field(max_length=100)] = Field(default=[])


def refusal(schema: type[BaseModel], data: object) -> InvalidError:
    """How data are refused."""
    with pytest.raises(InvalidError) as raised:
        validated(schema, data)
    return raised.value


def test_every_error_of_pydantic_has_our_wording() -> None:
    assert set(get_args(core_schema.ErrorType)) | FINDINGS.keys() <= SENTENCES.keys()


@pytest.mark.parametrize("error_type", FINDINGS)
def test_an_error_has_no_wording_of_pydantic(error_type: str) -> None:
    finding = FINDINGS[error_type]
    context = finding.get("example_context") or {}
    said = validation.sentence(error_type, "theirs", context)
    assert said != "theirs"
    assert said not in (finding["message_template_python"], finding["example_message_python"])
    assert not any(theirs in said for theirs in THEIRS)
    assert said.split()[0] in ("must", "is", "has", "can't")


@pytest.mark.parametrize("status", sorted(default_exceptions.keys() - LIMITED))
def test_every_error_of_werkzeug_has_our_wording(status: int) -> None:
    theirs = default_exceptions[status]()
    assert status in STATUSES
    assert problems.translate(theirs).detail == STATUSES[status] != theirs.description


def test_an_error_of_a_status_without_a_sentence_is_reported_in_our_words_too() -> None:
    assert problems.translate(HTTPException()).detail == STATUSES[500]


def test_a_description_of_ours_is_kept() -> None:
    assert problems.translate(default_exceptions[400]("The path is odd.")).detail == (
        "The path is odd."
    )


def test_a_method_that_is_not_allowed_gets_the_allowed_ones() -> None:
    problem = problems.translate(MethodNotAllowed(["PUT", "GET", "HEAD"]))
    assert problem.detail == "This path does not take that method; it takes GET, HEAD, PUT."


def test_ten_of_very_many_unknown_fields_are_named_and_all_are_counted() -> None:
    data: dict[str, object] = {f"unknown{number}": 0 for number in range(95_000)}
    error = refusal(Thing, {**data, "title": "A", "from": 1})
    assert [fault.field for fault in error.errors] == [f"unknown{n}" for n in range(10)]
    assert error.left_out == 94_990
    document = problems.translate(error).document()
    assert document["errors_left_out"] == 94_990
    assert len(json.dumps(document)) < 2_000


def test_a_field_that_is_missing_is_named_before_the_unknown_ones() -> None:
    error = refusal(Thing, {f"unknown{number}": 0 for number in range(1_000)})
    assert error.errors[0] == FieldError("title", "is required")
    assert error.left_out == 1_001 - 10


def test_unknown_fields_inside_are_counted_too() -> None:
    line = {"name": "x", **{f"unknown{number}": 0 for number in range(1_000)}}
    error = refusal(Thing, {"title": "A", "lines": [line, line]})
    assert error.errors[0].field == "lines.0.unknown0"
    assert error.left_out == 2_000 - 10


def test_few_errors_are_all_listed() -> None:
    error = refusal(Thing, {"titel": "A"})
    assert error.left_out == 0
    assert "errors_left_out" not in problems.translate(error).document()


def test_names_and_details_in_errors_are_shortened() -> None:
    error = refusal(Thing, {"title": "A", "x" * 1_000_000: 1})
    assert len(error.errors[0].field) == 200
    long = InvalidError([FieldError("f" * 1_000_000, "d" * 1_000_000)] * 50)
    assert len(str(long)) < 8_000
    assert len(problems.translate(default_exceptions[400]("d" * 1_000_000)).detail) < 5_000


def test_errors_of_the_whole_body_have_no_field() -> None:
    error = InvalidError([FieldError("a", "is odd"), FieldError("", "is odd, too")])
    assert str(error) == "a: is odd; is odd, too"


def test_faults_are_collected_up_to_ten_and_counted_from_there() -> None:
    faults = Faults()
    faults.check()
    for number in range(25):
        faults.add(("a", number), "is odd")
    with pytest.raises(InvalidError) as raised:
        faults.check()
    assert [fault.field for fault in raised.value.errors] == [f"a.{n}" for n in range(10)]
    assert raised.value.left_out == 15


def test_a_place_is_short_and_can_be_written_in_utf_8() -> None:
    assert path(["a", 1, "\ud800é"]) == "a.1.\\ud800é"
    assert path(["x" * 200]) == "x" * 200
    assert path(["x" * 150, "y" * 50]) == "x" * 150 + "." + "y" * 48 + "…"
