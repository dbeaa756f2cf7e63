"""The application answers as Flask itself does, which looks at more than the services use."""

from typing import Any

import pytest
from flask import Blueprint, Flask, Response, jsonify, request
from werkzeug.test import EnvironBuilder, run_wsgi_app

from chassis.http import application
from chassis.http.application import Application


def _app(app: Flask) -> Flask:
    """The same routes and hooks for any kind of application."""
    calls: list[str] = []
    inner = Blueprint("inner", __name__, url_prefix="/in")

    def before(name: str) -> Any:
        return lambda: calls.append(name)

    def after(name: str) -> Any:
        def act(response: Response) -> Response:
            response.headers.add("After", name)
            return response

        return act

    app.before_request(before("app 1"))
    inner.before_request(before("inner"))
    app.before_request(before("app 2"))
    app.after_request(after("app 1"))
    inner.after_request(after("inner"))
    app.after_request(after("app 2"))

    @app.before_request
    def stop() -> Response | None:
        return Response("stopped") if "stop" in request.args else None

    @inner.get("/<path:rest>")
    def show(rest: str) -> Response:
        shown = [*calls, rest, request.path, request.host]
        calls.clear()
        return jsonify(shown)

    @inner.get("/fails")
    def fail() -> Response:
        raise ValueError("in a view")

    @inner.get("/fails-after")
    def fail_after() -> Response:
        return Response("made", headers={"Fail": "1"})

    @app.after_request
    def refuse(response: Response) -> Response:
        if "Fail" in response.headers:
            raise ValueError("after a view")
        return response

    @app.errorhandler(ValueError)
    def handle(error: ValueError) -> tuple[str, int]:
        return str(error), 418

    app.register_blueprint(inner)
    return app


def _ask(app: Flask, changes: dict[str, str]) -> tuple[str, list[tuple[str, str]], bytes]:
    environ = EnvironBuilder(path="/in/x").get_environ()
    answer, status, headers = run_wsgi_app(app, environ | changes)
    return status, headers.to_wsgi_list(), b"".join(answer)


CHANGES: list[dict[str, str]] = [
    {},
    {"REQUEST_METHOD": "POST"},
    {"REQUEST_METHOD": "OPTIONS"},
    {"PATH_INFO": "/nowhere"},
    {"PATH_INFO": ""},
    {"PATH_INFO": "/in/fails"},
    {"PATH_INFO": "/in/fails", "REQUEST_METHOD": "HEAD"},
    {"PATH_INFO": "/in/fails-after"},
    {"PATH_INFO": "//in/x"},
    {"PATH_INFO": "/in/a//b/../c"},
    {"PATH_INFO": "/in/\xc3\xa9\xff\n"},
    {"QUERY_STRING": "stop=\xff"},
    {"SCRIPT_NAME": "/mounted"},
    {"HTTP_HOST": "example.org:8080"},
    {"HTTP_HOST": "EXAMPLE.org"},
    {"HTTP_HOST": "a..b"},
    {"HTTP_HOST": "a" * 64},
    {"HTTP_HOST": "[::1]:80"},
    {"HTTP_HOST": "a b"},
    {"HTTP_HOST": "r\xe9sum\xe9"},
    {"HTTP_CONNECTION": "upgrade", "HTTP_UPGRADE": "websocket"},
    {"HTTP_CONNECTION": "upgrade", "HTTP_UPGRADE": "h2c"},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_requests_are_answered_as_by_flask_itself(changes: dict[str, str]) -> None:
    ours, plain = _app(Application("test")), _app(Flask("test", static_folder=None))
    for _ in range(2):
        assert _ask(ours, changes) == _ask(plain, changes)


def test_what_is_known_of_earlier_requests_changes_no_answer() -> None:
    ours, plain = _app(Application("test")), _app(Flask("test", static_folder=None))
    for changes in (*CHANGES, *reversed(CHANGES)):
        assert _ask(ours, changes) == _ask(plain, changes)


def test_hosts_of_any_length_are_not_kept_in_memory() -> None:
    ours, plain = _app(Application("test")), _app(Flask("test", static_folder=None))
    application._is_plain.cache_clear()
    for changes in ({"HTTP_HOST": "a" * 60_000}, {"HTTP_HOST": ".".join(["a"] * 10_000)}):
        assert _ask(ours, changes) == _ask(plain, changes)
    assert application._is_plain.cache_info().currsize == 0
