"""What is remembered of requests that many clients send alike, and of those that nobody sends."""

import pytest
from flask import Flask
from werkzeug.exceptions import BadRequest, RequestHeaderFieldsTooLarge

from chassis.http.application import Application
from gateway import proxy
from gateway.edge import request_checks


@pytest.fixture
def app() -> Flask:
    """An application."""
    return Application("test")


def test_a_host_longer_than_any_name_is_refused_and_not_kept_in_memory(app: Flask) -> None:
    request_checks._is_host.cache_clear()
    for host in ("a" * 60_000, "a." * 200):
        with app.test_request_context("/", headers={"Host": host}), pytest.raises(BadRequest):
            request_checks.check()
    assert request_checks._is_host.cache_info().currsize == 0
    with app.test_request_context("/", headers={"Host": "a." * 126 + "a:65535"}):
        request_checks.check()


def test_a_field_with_an_endless_name_is_refused_and_not_kept_in_memory(app: Flask) -> None:
    proxy._forwarded_name.cache_clear()
    for length, is_refused in ((250, False), (60_000, True)):
        with app.test_request_context("/", headers={"x" * length: "1"}) as context:
            environ = {f"HTTP_{'X' * length}": "1", **context.request.environ}
            try:
                proxy._request_headers(environ)
            except RequestHeaderFieldsTooLarge:
                assert is_refused
            else:
                assert not is_refused
    assert proxy._forwarded_name("HTTP_ACCEPT") == "Accept"
