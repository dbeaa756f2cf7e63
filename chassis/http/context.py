"""The current request and its `g`, without Flask's proxies.

Each use of a proxy costs half a microsecond, and a request had two dozen of them.
"""

from collections.abc import Callable
from typing import Any

from flask import Request
from flask.ctx import AppContext, RequestContext
from flask.globals import app_ctx, request_ctx

_app_context: Callable[[], AppContext]
_request_context: Callable[[], RequestContext]
# the function behind a proxy
_app_context = app_ctx._get_current_object  # type: ignore[attr-defined]
_request_context = request_ctx._get_current_object  # type: ignore[attr-defined]


def context() -> RequestContext:
    """Return the context of the current request. Raises RuntimeError outside of requests."""
    return _request_context()


def request() -> Request:
    """Return the current request. Raises RuntimeError outside of requests."""
    return _request_context().request


def g() -> Any:
    """Return what the current request keeps. Raises RuntimeError outside of requests."""
    return _app_context().g
