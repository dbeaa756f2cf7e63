"""`/`, `/docs` and the API's description, as the gateway answers them."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV30SpecValidator

from chassis.http import app as web
from gateway.auth import scopes
from gateway.pages.docs import DOCUMENT, FILES, docs_routes
from gateway.pages.routes import page_routes
from tests.support import openapi

SUMMARY = {"name": "crud-master", "status": "up"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def swagger_ui(tmp_path: Path) -> Path:
    """A directory with files of the names that /docs needs, and another one."""
    for name in (*FILES, "package.json"):
        (tmp_path / name).write_text(name)
    return tmp_path


def client(swagger_ui: Path | None, *protected: str) -> FlaskClient:
    """A client of these routes alone; the orders are protected, if nothing else is said."""
    docs = docs_routes(swagger_ui, protected or ("orders",))
    routes = [page_routes(lambda: SUMMARY), docs]
    return web.create_app("gateway", ready=[], routes=routes).test_client()


@pytest.mark.parametrize(
    "accept", [BROWSER, "text/html", "text/*", "application/json;q=0.1, text/html"]
)
def test_a_browser_gets_the_page(accept: str) -> None:
    answer = client(None).get("/", headers={"Accept": accept})
    assert answer.content_type == "text/html; charset=utf-8"
    assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "headers",
    [{}, *({"Accept": accept} for accept in ("*/*", "application/json", "image/png"))],
)
def test_all_other_clients_get_the_summary(headers: dict[str, str]) -> None:
    answer = client(None).get("/", headers=headers)
    assert answer.json == SUMMARY
    assert "Accept" in answer.headers["Vary"]


def test_what_a_browser_loads_may_load_nothing_from_elsewhere(swagger_ui: Path) -> None:
    for path in ("/", "/docs", "/static/page.js", "/docs/swagger-ui.css"):
        answer = client(swagger_ui).get(path, headers={"Accept": BROWSER})
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/static/page.css", "/openapi.yaml", "/openapi.json"]
)
def test_an_unchanged_resource_is_not_sent_again(swagger_ui: Path, path: str) -> None:
    browser = client(swagger_ui)
    first = browser.get(path, headers={"Accept": BROWSER})
    assert first.headers["Cache-Control"] == "no-cache"
    known = {"Accept": BROWSER, "If-None-Match": first.headers["ETag"]}
    assert browser.get(path, headers=known).status_code == 304


@pytest.mark.parametrize(
    "path", ["/static/nothing", "/static/..%2fpages.py", "/docs/nothing", "/docs/package.json"]
)
def test_other_files_are_not_served(swagger_ui: Path, path: str) -> None:
    answer = client(swagger_ui).get(path)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/docs", "/docs/swagger-ui.css"])
def test_without_swagger_ui_the_answer_is_the_problem_that_is_documented(
    tmp_path: Path, path: str
) -> None:
    operation = next(o for o in openapi.operations() if o.id == "docs")
    shown = operation.responses["503"]["content"]["application/problem+json"]["example"]
    for place in (None, tmp_path):
        answer = client(place).get(path)
        assert json.loads(answer.data) | {"request_id": shown["request_id"]} == shown
        assert answer.headers["Retry-After"] == "60"
        assert client(place).get("/openapi.yaml").status_code == 200


def test_the_description_is_the_same_in_yaml_and_json() -> None:
    as_yaml, as_json = client(None).get("/openapi.yaml"), client(None).get("/openapi.json")
    assert as_yaml.content_type == "application/yaml"
    assert as_yaml.data == DOCUMENT.read_bytes()
    assert as_json.content_type == "application/json"
    assert json.loads(as_json.data) == openapi.from_yaml(as_yaml.data)


@pytest.mark.parametrize(
    "protected", [("orders",), ("none",), scopes.CLASSES, ("movies", "events")]
)
def test_the_description_has_padlocks_at_protected_operations(
    protected: tuple[str, ...],
) -> None:
    served = client(None, *protected)
    document: Any = json.loads(served.get("/openapi.json").data)
    assert openapi.from_yaml(served.get("/openapi.yaml").data) == document
    OpenAPIV30SpecValidator(document).validate()
    for path, item in document["paths"].items():
        of_class = "platform" if path == "/metrics" else "".join(path.split("/")[2:3])
        for method in item.keys() & {"get", "post", "put", "delete"}:
            needed = item[method].get("security", document["security"])
            assert needed == ([{"bearerAuth": []}] if of_class in protected else []), path


def test_the_description_in_yaml_is_the_file_itself_by_default() -> None:
    assert client(None).get("/openapi.yaml").data == openapi.FILE.read_bytes()
