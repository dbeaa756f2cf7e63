"""openapi.yaml, one operation at a time and without references."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from openapi_spec_validator.readers import read_from_filename

FILE = Path(__file__).parents[2] / "openapi.yaml"
METHODS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class Operation:
    """One operation; its parameters include those of its path.

    Attributes:
        protected: whether it needs a token.
    """

    path: str
    method: str
    id: str
    tag: str
    summary: str
    description: str
    parameters: list[Any]
    bodies: dict[str, Any]
    responses: dict[str, Any]
    protected: bool

    @property
    def success(self) -> int:
        """The status that it answers if all is well.

        Raises:
            LookupError: the document has none.
        """
        found = [int(status) for status in self.responses if status.startswith("2")]
        if not found:
            raise LookupError(f"{self.id} needs a response 2xx in openapi.yaml.")
        return min(found)

    @property
    def content(self) -> dict[str, Any]:
        """What it answers if all is well, by media type."""
        return dict(self.responses[str(self.success)].get("content", {}))


@cache
def raw() -> dict[str, Any]:
    """The document as it is written; nobody may change it."""
    document, _url = read_from_filename(str(FILE))
    return dict(document)


def resolved(part: Any, document: dict[str, Any]) -> Any:
    """`part` of `document` with each `$ref` replaced by what it points to."""
    if isinstance(part, list):
        return [resolved(item, document) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return resolved(_target(part["$ref"], document), document)
    return {name: resolved(item, document) for name, item in part.items()}


def _target(reference: str, document: dict[str, Any]) -> Any:
    found: Any = document
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def operations() -> list[Operation]:
    """All operations, without references."""
    document = raw()
    return list(_operations(resolved(document["paths"], document), document["security"]))


def _operations(paths: dict[str, Any], security: list[Any]) -> Iterator[Operation]:
    for path, item in paths.items():
        for method in filter(item.__contains__, METHODS):
            described = item[method]
            ways_in = described.get("security", security)
            yield Operation(
                path=path,
                method=method,
                id=described["operationId"],
                tag=described["tags"][0],
                summary=described["summary"],
                description=described["description"],
                parameters=item.get("parameters", []) + described.get("parameters", []),
                bodies=described.get("requestBody", {}).get("content", {}),
                responses=described["responses"],
                protected=bool(ways_in) and {} not in ways_in,
            )


def examples(holder: dict[str, Any]) -> dict[str, Any]:
    """The examples of a media type or a parameter by their names; a single one has none.

    That of an optional parameter is `x-example`: what is called `example`, Swagger UI would send.
    """
    for name in ("example", "x-example"):
        if name in holder:
            return {"": holder[name]}
    return {name: example["value"] for name, example in holder.get("examples", {}).items()}
