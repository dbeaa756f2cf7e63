"""`/docs`: Swagger UI for the API's description; and the description itself, as YAML and JSON."""

import json
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from flask import Blueprint, Response, abort

from chassis.errors import UnavailableError
from gateway.auth.guard import PLATFORM
from gateway.pages import files

DOCUMENT = Path(__file__).parents[2] / "openapi.yaml"
FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
METHODS = {"get", "put", "post", "delete", "patch"}
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: type = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Description:
    """openapi.yaml, read at the first request for it.

    Its `security` is adapted to the classes that are protected here.
    """

    def __init__(self, protected: Collection[str], path: Path = DOCUMENT) -> None:
        self._protected = protected
        self._path = path

    @cached_property
    def yaml(self) -> bytes:
        """The file unchanged, if its `security` fits; else with the adapted one."""
        text = self._path.read_bytes()
        if yaml.load(text, _Loader) == self._document:
            return text
        written: bytes = yaml.dump(
            self._document, Dumper=_Dumper, encoding="utf-8", allow_unicode=True, sort_keys=False
        )
        return written

    @cached_property
    def json(self) -> bytes:
        """The same content in JSON."""
        # the standard library's encoder writes integers of any length
        text = json.dumps(self._document, ensure_ascii=False, separators=(",", ":"))
        return text.encode() + b"\n"

    @cached_property
    def _document(self) -> Any:
        document = yaml.load(self._path.read_bytes(), _Loader)
        for path, item in document["paths"].items():
            needed: list[Any] = [{"bearerAuth": []}] if _class_of(path) in self._protected else []
            for method in METHODS & item.keys():
                declared = item[method].get("security", document["security"])
                if declared != needed:
                    item[method]["security"] = needed
        return document


def _class_of(path: str) -> str:
    """Return the class of resources of a path of the document, or a word that is no class."""
    words = path.split("/")
    if words[1] == "api":
        return words[2]
    return PLATFORM if path == "/metrics" else ""


def docs_routes(swagger_ui: Path | None, protected: Collection[str]) -> Blueprint:
    """Return the routes of the API's description.

    Args:
        swagger_ui: the directory of the npm package swagger-ui-dist, if it is installed.
        protected: the classes of resources that need a token.
    """
    routes, description = Blueprint("docs", __name__), Description(protected)

    @routes.get("/openapi.yaml")
    def openapi_yaml() -> Response:
        return files.answer(description.yaml, "application/yaml")

    @routes.get("/openapi.json")
    def openapi_json() -> Response:
        return files.answer(description.json, "application/json")

    @routes.get("/docs")
    def docs() -> Response:
        _installed(swagger_ui)
        return files.send(files.STATIC, "docs.html")

    @routes.get("/docs/<name>")
    def docs_file(name: str) -> Response:
        if name not in FILES:
            abort(404)
        return files.send(_installed(swagger_ui), name)

    return routes


def _installed(swagger_ui: Path | None) -> Path:
    """Return the directory.

    Raises:
        UnavailableError: it is missing, or lacks a file that /docs needs.
    """
    if swagger_ui is None or not all((swagger_ui / name).is_file() for name in FILES):
        detail = "Swagger UI is not installed here (SWAGGER_UI_DIR); /openapi.yaml is there."
        raise UnavailableError(detail, cause="not_installed", retry_after=60)
    return swagger_ui
