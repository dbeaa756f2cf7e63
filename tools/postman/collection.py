"""The whole collection: variables, authentication, a folder for each tag, and the drill."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tools.postman.chains import Chains, chains
from tools.postman.document import Operation
from tools.postman.drill import drill
from tools.postman.requests import Item, item

FILE = Path(__file__).parents[2] / "postman_collection.json"
FORMAT = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
OWN = {
    "base_url": ("http://localhost:8080", "Where the gateway is."),
    "token": ("local-development-token", "API_TOKEN of .env."),
    "tries": ("0", "How often a request has waited for its answer."),
}


def text(document: dict[str, Any], operations: list[Operation]) -> str:
    """Return the collection as the file has it."""
    return json.dumps(collection(document, operations), indent=2, ensure_ascii=False) + "\n"


def collection(document: dict[str, Any], operations: list[Operation]) -> Item:
    """Return the collection of a document.

    Raises:
        LookupError: the document lacks what a request needs; the text says what.
    """
    known = chains(operations)
    return {
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "schema": FORMAT,
        },
        "auth": {
            "type": "bearer",
            "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}],
        },
        "variable": list(_variables(known)),
        "item": [*_folders(document["tags"], operations, known), drill()],
    }


def in_order(operations: Iterable[Operation]) -> list[Operation]:
    """Sort operations so that each finds what it needs: make, read, change, delete, clear.

    The order of the document is that of a reader: what lists comes before what makes, and what
    clears all before what reads one.
    """
    return sorted(operations, key=_turn)


def _turn(operation: Operation) -> int:
    is_of_one = "{" in operation.path
    if operation.method == "post":
        return 0 if operation.success in (201, 202) else 2
    return {"get": 1, "delete": 3 if is_of_one else 4}.get(operation.method, 2)


def _folders(tags: list[Any], operations: list[Operation], known: Chains) -> Iterator[Item]:
    nameless = {operation.tag for operation in operations} - {tag["name"] for tag in tags}
    if nameless:
        raise LookupError(f"openapi.yaml needs the tags {', '.join(sorted(nameless))}.")
    for tag in tags:
        own = in_order(operation for operation in operations if operation.tag == tag["name"])
        items = [item(operation, known) for operation in own]
        yield {"name": tag["name"], "description": tag["description"], "item": items}


def _variables(known: Chains) -> Iterator[Item]:
    for name, (value, description) in OWN.items():
        yield {"key": name, "value": value, "description": description}
    for link in {link.variable: link for link in known.links}.values():
        description = f"Set by {link.source}."
        yield {"key": link.variable, "value": str(link.example), "description": description}
