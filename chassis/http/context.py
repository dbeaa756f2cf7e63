"""The current request and its `g`, without Flask's proxies.

Each use of a proxy costs half a microsecond, and a request had two dozen of them.
"""

from typing import Any

from flask import Request
from flask.ctx import RequestContext

# what stands behind the proxies
from flask.globals import _cv_app, _cv_request


def context() -> RequestContext:
    """Return the context of the current request. Raises LookupError outside of requests."""
    return _cv_request.get()


def request() -> Request:
    """Return the current request. Raises LookupError outside of requests."""
    return _cv_request.get().request


def g() -> Any:
    """Return what the current request keeps. Raises LookupError outside of requests."""
    return _cv_app.get().g
