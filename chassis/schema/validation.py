"""Checks data against schemas, with our own error messages.

Independent of HTTP and JSON: it checks bodies, queries, messages and lines of files.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chassis.errors import MAX_ERRORS, FieldError, InvalidError, shortened
from chassis.schema.error_texts import SENTENCES
from chassis.schema.fields import Pruned

SchemaT = TypeVar("SchemaT", bound=BaseModel)
_LONGEST_PATH = 200


class Faults:
    """Collects the errors of a document: the first few in full, the others as a count."""

    def __init__(self) -> None:
        self._kept: list[FieldError] = []
        self._count = 0

    def add(self, place: Iterable[int | str], detail: str) -> None:
        """Add an error at a place."""
        self._count += 1
        if len(self._kept) < MAX_ERRORS:
            self._kept.append(FieldError(path(place), detail))

    def check(self) -> None:
        """Raise the collected errors, if any.

        Raises:
            InvalidError: with the first errors.
        """
        if self._count:
            raise InvalidError(self._kept, left_out=self._count - len(self._kept))


def validated(schema: type[SchemaT], data: Any) -> SchemaT:
    """Check `data` against `schema`.

    Raises:
        InvalidError: with the first ten wrong fields.
    """
    if not isinstance(data, dict):
        raise InvalidError([FieldError("", "must be a JSON object")])
    pruned = Pruned()
    try:
        return schema.model_validate(data, context=pruned)
    except ValidationError as error:
        raise InvalidError(field_errors(error), left_out=pruned.count) from None


def field_errors(error: ValidationError) -> list[FieldError]:
    """Translate pydantic's errors, without the input, which may be secret or large."""
    return [
        FieldError(path(fault["loc"]), sentence(fault["type"], fault["msg"], fault.get("ctx", {})))
        for fault in error.errors(include_url=False, include_input=False)
    ]


def sentence(error_type: str, message: str, context: Mapping[str, Any]) -> str:
    """Return our message for an error.

    Args:
        error_type: pydantic's type of error, or that of a `PydanticCustomError`.
        message: the message of a `PydanticCustomError`; pydantic's own are not shown.
        context: limits and the like, as pydantic gives them.
    """
    ours = SENTENCES.get(error_type)
    if ours is None:
        return message
    if isinstance(ours, str):
        return ours
    return ours(context)


def path(location: Iterable[int | str]) -> str:
    """Return the name of a place in a document: at most 200 characters, valid UTF-8."""
    text = ".".join(str(part) for part in location)
    return shortened(text, _LONGEST_PATH).encode(errors="backslashreplace").decode()
