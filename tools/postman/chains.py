"""The links of openapi.yaml as variables: a field of one answer becomes a later parameter.

The link of `createMovie` that gives its answer's `id` to `getMovie` becomes the variable
`movie.id`, which is used in every path that begins with `/api/movies/{id}`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tools.postman.document import Operation, examples

CREATED = re.compile(r"(?:create|post)([A-Z]\w*)")
IN_BODY = "$response.body#/"


@dataclass(frozen=True)
class Link:
    """A field of an operation's answer, and the path parameter that it fills.

    Attributes:
        variable: the name of the variable between them.
        place: a path up to and including the parameter.
        late: whether the thing exists only some time after the answer.
    """

    variable: str
    source: str
    field: str
    place: str
    example: Any
    late: bool


@dataclass(frozen=True)
class Chains:
    """All links from operations that create something."""

    links: list[Link] = field(default_factory=list)

    def from_(self, operation: Operation) -> list[Link]:
        """The links that start at an operation, each variable once."""
        kept = {link.variable: link for link in self.links if link.source == operation.id}
        return list(kept.values())

    def into(self, operation: Operation, parameter: str) -> Link | None:
        """The link that fills a path parameter of an operation, or None."""
        place = _place(operation.path, parameter)
        return next((link for link in self.links if link.place == place), None)


def chains(operations: Iterable[Operation]) -> Chains:
    """Read the links of a document."""
    known = {operation.id: operation for operation in operations}
    return Chains([link for source in known.values() for link in _links(source, known)])


def _links(source: Operation, known: dict[str, Operation]) -> Iterator[Link]:
    made = CREATED.fullmatch(source.id)
    if source.method != "post" or not made:
        return
    for link in source.responses[str(source.success)].get("links", {}).values():
        yield from _of(made[1].lower(), source, known[link["operationId"]], link["parameters"])


def _of(
    thing: str, source: Operation, target: Operation, parameters: dict[str, str]
) -> Iterator[Link]:
    for parameter in target.parameters:
        origin = parameters.get(parameter["name"], "")
        if parameter["in"] == "path" and origin.startswith(IN_BODY):
            name = origin.removeprefix(IN_BODY)
            yield Link(
                variable=f"{thing}.{name}",
                source=source.id,
                field=name,
                place=_place(target.path, parameter["name"]),
                example=next(iter(examples(parameter).values()), ""),
                late=source.success == 202,
            )


def _place(path: str, parameter: str) -> str:
    before, found, _after = path.partition(f"{{{parameter}}}")
    return before + found
