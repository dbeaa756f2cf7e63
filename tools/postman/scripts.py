"""The test script of an operation: status, media type, fields, and the values that it stores."""

import json
from collections.abc import Iterator
from typing import Any

from tools.postman.chains import Chains, Link
from tools.postman.document import Operation, examples
from tools.postman.javascript import Script, keep, kept, patient, status, test
from tools.postman.unique import is_unique


def script(operation: Operation, chains: Chains) -> Script:
    """Return the lines that test the answer of an operation."""
    lines = [*answered(operation), *_fields(operation), *_echo(operation)]
    asked = list(_asked(operation, chains))
    lines += [line for link in asked for line in _same(operation, link)]
    lines += [keep(link.variable, link.field) for link in chains.from_(operation)]
    return patient(lines) if any(link.late for link in asked) else lines


def answered(operation: Operation) -> Script:
    """Test status and media type."""
    media_types = json.dumps([*operation.content])
    found = 'pm.response.headers.get("Content-Type").split(";")[0]'
    type_test = test("the media type", f"pm.expect({media_types}).to.include({found});")
    return [*status(operation.success), *(type_test if operation.content else [])]


def example_body(operation: Operation) -> Any:
    """The first example of the body, or None."""
    return _first(operation.bodies)


def _fields(operation: Operation) -> Script:
    required = ", ".join(map(json.dumps, _required(operation)))
    if required:
        return test("the fields", _each(operation, "", f"include.all.keys({required})"))
    nothing = "pm.expect(pm.response.text()).to.not.be.empty;"
    return test("a body", nothing) if operation.content else []


def _echo(operation: Operation) -> Script:
    posted, shown = example_body(operation), _first(operation.content)
    if not isinstance(posted, dict) or not isinstance(shown, dict):
        return []
    agreed = {k: v for k, v in posted.items() if k in shown and shown[k] == v and not is_unique(k)}
    return [line for name, value in agreed.items() for line in _equal(name, value)]


def _equal(name: str, value: Any) -> Script:
    literal = json.dumps(value, ensure_ascii=False)
    expected = f"pm.expect(pm.response.json().{name}).to.eql({literal});"
    return test(f"the {name} that was sent", expected)


def _same(operation: Operation, link: Link) -> Script:
    if link.field not in _required(operation):
        return []
    expected = f"satisfy((value) => String(value) === {kept(link.variable)})"
    name = f"the {link.field} that was asked for"
    return test(name, _each(operation, f".{link.field}", expected))


def _asked(operation: Operation, chains: Chains) -> Iterator[Link]:
    for parameter in operation.parameters:
        link = chains.into(operation, parameter["name"]) if parameter["in"] == "path" else None
        if link:
            yield link


def _each(operation: Operation, field: str, expected: str) -> str:
    """Expect something of the answer, or of each item if it is a list."""
    if _schema(operation).get("type") == "array":
        return f"pm.response.json().forEach((thing) => pm.expect(thing{field}).to.{expected});"
    return f"pm.expect(pm.response.json(){field}).to.{expected};"


def _required(operation: Operation) -> list[str]:
    schema = _schema(operation)
    return list(schema.get("items", schema).get("required", []))


def _schema(operation: Operation) -> dict[str, Any]:
    return next((dict(content.get("schema", {})) for content in operation.content.values()), {})


def _first(contents: dict[str, Any]) -> Any:
    found = (example for content in contents.values() for example in examples(content).values())
    return next(found, None)
