"""An operation as a request of Postman's Collection format, version 2.1.0.

Source: https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html
"""

import json
from typing import Any

from tools.postman.chains import Chains
from tools.postman.document import Operation, examples
from tools.postman.javascript import Script
from tools.postman.scripts import example_body, script
from tools.postman.unique import is_unique, renewed

Item = dict[str, Any]
BASE = "{{base_url}}"


def item(operation: Operation, chains: Chains) -> Item:
    """Return an operation as a request with its tests."""
    return {
        "name": operation.summary,
        "event": [tests(script(operation, chains))],
        "request": {
            "method": operation.method.upper(),
            "description": operation.description,
            "header": _headers(operation),
            **_body(operation),
            "url": _url(operation, chains),
        },
    }


def tests(lines: Script) -> Item:
    """Return a script that runs after the answer."""
    return {"listen": "test", "script": {"type": "text/javascript", "exec": lines}}


def raw_json(value: Any) -> Item:
    """Return a body."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return {"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}}


def _body(operation: Operation) -> Item:
    if not operation.bodies:
        return {}
    body = example_body(operation)
    if body is None:
        raise LookupError(f"{operation.id} needs an example of its body in openapi.yaml.")
    if isinstance(body, dict):
        body = {name: renewed(name, value) for name, value in body.items()}
    return {"body": raw_json(body)}


def _headers(operation: Operation) -> list[Item]:
    accept = [{"key": "Accept", "value": next(iter(operation.content), "*/*")}]
    content_type = [{"key": "Content-Type", "value": kind} for kind in operation.bodies]
    own = [p for p in operation.parameters if p["in"] == "header"]
    return [*accept, *content_type, *(_switchable(parameter) for parameter in own)]


def _switchable(parameter: Any) -> Item:
    """Return a header or query parameter: optional ones are off, idempotency keys on."""
    name, value = parameter["name"], _example(parameter)
    on = parameter.get("required", False) or (is_unique(name) and parameter["in"] == "header")
    return {
        "key": name,
        "value": renewed(name, value) if on else value,
        "description": parameter["description"],
        **({} if on else {"disabled": True}),
    }


def _url(operation: Operation, chains: Chains) -> Item:
    parts = [f":{p[1:-1]}" if p.startswith("{") else p for p in operation.path.split("/")[1:]]
    query = [_switchable(p) for p in operation.parameters if p["in"] == "query"]
    variables = [_variable(operation, p, chains) for p in operation.parameters if p["in"] == "path"]
    return {
        "raw": f"{BASE}/{'/'.join(parts)}",
        "host": [BASE],
        "path": parts,
        **({"query": query} if query else {}),
        **({"variable": variables} if variables else {}),
    }


def _variable(operation: Operation, parameter: Any, chains: Chains) -> Item:
    link = chains.into(operation, parameter["name"])
    value = f"{{{{{link.variable}}}}}" if link else _example(parameter)
    if not value:
        raise LookupError(
            f"{operation.id} needs an example of {parameter['name']} in openapi.yaml, "
            "or a link to it from the operation that makes the thing."
        )
    return {"key": parameter["name"], "value": value, "description": parameter["description"]}


def _example(parameter: Any) -> str:
    """The example of a parameter or of its schema, as text."""
    found = next(iter(examples(parameter).values()), parameter["schema"].get("example", ""))
    values = found if isinstance(found, list) else [found]
    return ",".join(value if isinstance(value, str) else json.dumps(value) for value in values)
