"""`/docs`: Swagger UI over the API's description; and the description itself, as YAML and JSON."""

import json
from functools import cached_property
from pathlib import Path

import yaml
from flask import Blueprint, Response, abort

from chassis.errors import UnavailableError
from gateway import files

DOCUMENT = Path(__file__).parent.parent / "openapi.yaml"
FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Description:
    """openapi.yaml, read when somebody first asks for it."""

    def __init__(self, path: Path = DOCUMENT) -> None:
        self._path = path

    @cached_property
    def yaml(self) -> bytes:
        """The file as it is."""
        return self._path.read_bytes()

    @cached_property
    def json(self) -> bytes:
        """The same content in JSON."""
        # by the library that writes integers of any length
        document = yaml.load(self.yaml, _Loader)
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def docs_routes(swagger_ui: Path | None) -> Blueprint:
    """Return the routes of the API's description.

    Args:
        swagger_ui: the directory of the npm package swagger-ui-dist, if it is installed.
    """
    routes, description = Blueprint("docs", __name__), Description()

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
        UnavailableError: it is not there, or has not what /docs needs.
    """
    if swagger_ui is None or not all((swagger_ui / name).is_file() for name in FILES):
        detail = "Swagger UI is not installed here (SWAGGER_UI_DIR); /openapi.yaml is there."
        raise UnavailableError(detail, cause="not_installed", retry_after=60)
    return swagger_ui
