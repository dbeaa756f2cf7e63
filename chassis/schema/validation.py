"""Data checked against a schema, and what is wrong with them in our words.

Knows neither HTTP nor JSON: a body, a query, a message and a line of a file all come through here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chassis.errors import MAX_ERRORS, FieldError, InvalidError, shortened
from chassis.schema.fields import Pruned
from chassis.schema.messages import SENTENCES

SchemaT = TypeVar("SchemaT", bound=BaseModel)
_LONGEST_PATH = 200


class Faults:
    """Collects what is wrong with a document: the first few in full, the others as a number."""

    def __init__(self) -> None:
        self._kept: list[FieldError] = []
        self._count = 0

    def add(self, place: Iterable[int | str], detail: str) -> None:
        """Note what is wrong at a place."""
        self._count += 1
        if len(self._kept) < MAX_ERRORS:
            self._kept.append(FieldError(path(place), detail))

    def check(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            InvalidError: naming the first places.
        """
        if self._count:
            raise InvalidError(self._kept, left_out=self._count - len(self._kept))


def validated(schema: type[SchemaT], data: Any) -> SchemaT:
    """Check `data` against `schema`.

    Raises:
        InvalidError: naming each field that is wrong, the first ten of them.
    """
    if not isinstance(data, dict):
        raise InvalidError([FieldError("", "must be a JSON object")])
    pruned = Pruned()
    try:
        return schema.model_validate(data, context=pruned)
    except ValidationError as error:
        raise InvalidError(field_errors(error), left_out=pruned.count) from None


def field_errors(error: ValidationError) -> list[FieldError]:
    """Translate pydantic's findings, without the input, which may be secret or large."""
    return [
        FieldError(path(fault["loc"]), sentence(fault["type"], fault["msg"], fault.get("ctx", {})))
        for fault in error.errors(include_url=False, include_input=False)
    ]


def sentence(error_type: str, message: str, context: Mapping[str, Any]) -> str:
    """Say what is wrong in our words.

    Args:
        error_type: pydantic's name for it, or a `PydanticCustomError`'s.
        message: what a `PydanticCustomError` says; pydantic's own messages are not shown.
        context: limits and the like, as pydantic gives them.
    """
    ours = SENTENCES.get(error_type)
    if ours is None:
        return message
    if isinstance(ours, str):
        return ours
    return ours(context)


def path(location: Iterable[int | str]) -> str:
    """Name a place in a document, at most 200 characters of it, as UTF-8 can write it."""
    text = ".".join(str(part) for part in location)
    return shortened(text, _LONGEST_PATH).encode(errors="backslashreplace").decode()
