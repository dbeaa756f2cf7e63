"""Runs Postman's own programs: newman, and the converter behind its import."""

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.stack.layout import INSTALLED
from tools.stack.pm2 import NODE

TOOLS = INSTALLED / "postman" / "node_modules"
NEWMAN = TOOLS / "newman" / "bin" / "newman.js"
CONVERTER = TOOLS / "openapi-to-postmanv2" / "bin" / "openapi2postmanv2.js"
# settings of Postman's import with which requests have the document's examples, and
# no filter or header is sent with an invented value
AS_IMPORTED = (
    "folderStrategy=Tags,parametersResolution=Example,"
    "requestParametersResolution=Example,exampleParametersResolution=Example,"
    "enableOptionalParameters=false"
)


@dataclass(frozen=True)
class Answer:
    """The answer to a request of a collection.

    Attributes:
        failed: what is wrong, by the request's own tests.
    """

    name: str
    status: int
    media_type: str
    body: bytes
    tests: int
    failed: list[str]


def run(collection: Path, folders: Iterable[str] = (), **variables: object) -> list[Answer]:
    """Run a collection or some of its folders, and return the answers in their order."""
    report = collection.with_suffix(".report.json")
    words = ["run", str(collection), "--reporters", "json", "--reporter-json-export", str(report)]
    for folder in folders:
        words += ["--folder", folder]
    for name, value in variables.items():
        words += ["--env-var", f"{name.replace('__', '.')}={value}"]
    _node(NEWMAN, *words, "--suppress-exit-code", "--timeout-request", "20000")
    executions = json.loads(report.read_text())["run"]["executions"]
    return [_answer(execution) for execution in executions]


def convert(document: Path, collection: Path) -> Any:
    """Make a collection from a document, as Postman's import does."""
    _node(CONVERTER, "-s", str(document), "-o", str(collection), "-O", AS_IMPORTED)
    return json.loads(collection.read_text())


def _node(program: Path, *words: str) -> None:
    # a proxy must not be used for the stack
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = subprocess.run(
        [NODE, program, *words], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _answer(execution: Any) -> Answer:
    response = execution.get("response")
    assert response, f"{execution['item']['name']}: {execution.get('requestError')}"
    headers = {header["key"].lower(): header["value"] for header in response["header"]}
    said = execution.get("assertions", [])
    return Answer(
        name=execution["item"]["name"],
        status=response["code"],
        media_type=headers["content-type"].partition(";")[0],
        body=bytes(response["stream"]["data"]),
        tests=len(said),
        failed=[_fault(assertion) for assertion in said if "error" in assertion],
    )


def _fault(assertion: Any) -> str:
    return f"{assertion['assertion']}: {assertion['error']['message']}"
