"""Flask without what the services do not use: coroutines, sessions, names of servers, websockets.

Flask would look at each of them with each request, some with each hook.
"""

import re
from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from flask import Flask, Request
from flask.globals import request_ctx
from flask.sessions import NullSession, SessionInterface
from flask.typing import AfterRequestCallable, ResponseReturnValue
from flask.wrappers import Response
from werkzeug.routing import MapAdapter

_Function = TypeVar("_Function", bound=Callable[..., Any])
# names and addresses that IDNA leaves as they are
_PLAIN_HOST = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*(?::[0-9]+)?", re.ASCII)
_NO_SESSION = NullSession()


class _NoSessions(SessionInterface):
    def open_session(self, app: Flask, request: Request) -> NullSession:
        return _NO_SESSION


class _Hooks(NamedTuple):
    """The functions that Flask calls before and after a view, in their order."""

    before: tuple[Callable[[], Any], ...]
    after: tuple[AfterRequestCallable[Response], ...]


class Application(Flask):
    """Flask for views and hooks that are plain functions; all hooks precede the first request."""

    session_interface = _NoSessions()

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self._hooks: dict[str | None, _Hooks] = {}

    def ensure_sync(self, func: _Function) -> _Function:
        """Return `func`: there are no coroutines."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what matches the request's path; an unusual request is left to werkzeug."""
        environ = {} if request is None else request.environ
        host = environ.get("HTTP_HOST", "")
        if not _PLAIN_HOST.fullmatch(host) or "HTTP_UPGRADE" in environ:
            return super().create_url_adapter(request)
        return MapAdapter(
            self.url_map,
            server_name=host.lower(),
            script_name=environ["SCRIPT_NAME"],
            subdomain="",
            url_scheme=environ["wsgi.url_scheme"],
            path_info=_decoded(environ["PATH_INFO"]),
            default_method=environ["REQUEST_METHOD"],
            query_args=_decoded(environ["QUERY_STRING"]),
        )

    def preprocess_request(self) -> ResponseReturnValue | None:
        """Call the functions before the view, until one answers."""
        for act in self._hooks_of(request_ctx.request).before:
            answer: ResponseReturnValue | None = act()
            if answer is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        """Call the functions after the view."""
        context = request_ctx
        for act in chain(context._after_request_functions, self._hooks_of(context.request).after):
            response = act(response)  # type: ignore[assignment]  # as in Flask
        return response

    def _hooks_of(self, request: Request) -> _Hooks:
        rule = request.url_rule
        endpoint = None if rule is None else rule.endpoint
        hooks = self._hooks.get(endpoint)
        if hooks is None:
            hooks = self._hooks[endpoint] = self._found_hooks(request.blueprints)
        return hooks

    def _found_hooks(self, blueprints: list[str]) -> _Hooks:
        before, after = self.before_request_funcs, self.after_request_funcs
        outside_in = (None, *reversed(blueprints))
        return _Hooks(
            tuple(act for name in outside_in for act in before.get(name, ())),
            tuple(act for name in (*blueprints, None) for act in reversed(after.get(name, []))),
        )


def _decoded(text: str) -> str:
    """Return text of WSGI, whose characters are bytes (PEP 3333), as UTF-8."""
    return text.encode("latin-1").decode(errors="replace")
