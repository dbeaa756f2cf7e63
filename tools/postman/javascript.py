"""Lines of Postman's test scripts."""

import json
from http import HTTPStatus

Script = list[str]
TRIES, PAUSE = 120, 500  # milliseconds between two tries


def test(name: str, *lines: str) -> Script:
    """Wrap expectations into a named test."""
    return [f"pm.test({json.dumps(name)}, () => {{", *(f"  {line}" for line in lines), "});"]


def status(expected: int) -> Script:
    """Test the status."""
    name = f"{expected} {HTTPStatus(expected).phrase}"
    return test(name, f"pm.response.to.have.status({expected});")


def keep(variable: str, field: str) -> str:
    """Store a field of the answer for other requests."""
    return f"pm.collectionVariables.set({json.dumps(variable)}, pm.response.json().{field});"


def kept(variable: str) -> str:
    """Return the expression for a stored value, as text."""
    return f"String(pm.variables.get({json.dumps(variable)}))"


def patient(lines: Script, waiting: int = 404) -> Script:
    """Repeat the request while the status is `waiting`, at most `TRIES` times; then test."""
    return [
        'const tries = Number(pm.collectionVariables.get("tries") || 0) + 1;',
        f"if (pm.response.code === {waiting} && tries < {TRIES}) {{",
        '  pm.collectionVariables.set("tries", tries);',
        "  pm.execution.setNextRequest(pm.info.requestName);",
        "  // the runner waits for this timer before it asks again",
        f"  setTimeout(() => {{}}, {PAUSE});",
        "} else {",
        '  pm.collectionVariables.set("tries", 0);',
        *(f"  {line}" for line in lines),
        "}",
    ]
