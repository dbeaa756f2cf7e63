"""Flask without what the services do not use: coroutines, sessions, signals, names of servers.

Flask would look at each of them with each request, some with each hook.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from flask import Flask, Request
from flask.ctx import RequestContext
from flask.sessions import NullSession, SessionInterface
from flask.typing import AfterRequestCallable, ResponseReturnValue
from flask.wrappers import Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, Rule

from chassis.http import context

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_Function = TypeVar("_Function", bound=Callable[..., Any])
# names and addresses that IDNA leaves as they are
_PLAIN_HOST = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*(?::[0-9]+)?", re.ASCII)
_NO_SESSION = NullSession()
_KNOWN = 4096
"""How many methods and paths are known with their rules, the latest ones."""
_LONGEST_KNOWN = 200
LONGEST_HOST = 260
"""Characters of a name of DNS (RFC 1035, section 2.3.4) and a port; no longer one is remembered."""


class _NoSessions(SessionInterface):
    def open_session(self, app: Flask, request: Request) -> NullSession:
        return _NO_SESSION


class _Hooks(NamedTuple):
    """The functions that Flask calls before and after a view, in their order."""

    before: tuple[Callable[[], Any], ...]
    after: tuple[AfterRequestCallable[Response], ...]


class _Context(RequestContext):
    """A request's context; rules that were found stay known, since many requests have few paths."""

    app: "Application"

    def match_request(self) -> None:
        """Find the rule of the request; werkzeug describes what goes wrong."""
        adapter, request = self.url_adapter, self.request
        assert adapter is not None
        if "HTTP_UPGRADE" in request.environ or len(adapter.path_info) > _LONGEST_KNOWN:
            return super().match_request()
        try:
            rule, arguments = self.app.known_rule(adapter.default_method, adapter.path_info)
        except HTTPException:
            return super().match_request()
        request.url_rule, request.view_args = rule, dict(arguments)


class Application(Flask):
    """Flask for views and hooks that are plain functions; all hooks precede the first request.

    It has no teardown functions, and sends no signals of a request.
    """

    session_interface = _NoSessions()

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self.known_rule = lru_cache(_KNOWN)(self._match)
        self._hooks: dict[str | None, _Hooks] = {}

    def ensure_sync(self, func: _Function) -> _Function:
        """Return `func`: there are no coroutines."""
        return func

    def request_context(self, environ: "WSGIEnvironment") -> RequestContext:
        """Return the context of a request."""
        return _Context(self, environ)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what matches the request's path; an unusual request is left to werkzeug."""
        if request is None:
            return None  # there is no SERVER_NAME
        environ = request.environ
        host = environ.get("HTTP_HOST", "")
        if len(host) > LONGEST_HOST or not _is_plain(host) or "HTTP_UPGRADE" in environ:
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

    def full_dispatch_request(self) -> Response:
        """Answer the current request; errors become answers, too."""
        self._got_first_request = True
        try:
            answer = self.preprocess_request()
            if answer is None:
                answer = self.dispatch_request()
        except Exception as error:
            answer = self.handle_user_exception(error)
        return self.finalize_request(answer)

    def finalize_request(
        self, rv: ResponseReturnValue | HTTPException, from_error_handler: bool = False
    ) -> Response:
        """Make a response of a view's answer, and call the functions after the view.

        Args:
            rv: the answer.
            from_error_handler: an error of these functions is logged, and nothing else.
        """
        response = self.make_response(rv)
        try:
            return self.process_response(response)
        except Exception:
            if not from_error_handler:
                raise
            self.logger.exception("an error was answered without all of its headers")
            return response

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        """Do nothing: there are no such functions."""

    def do_teardown_appcontext(self, exc: BaseException | None = None) -> None:
        """Do nothing: there are no such functions."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Call the view of the current request."""
        request = context.request()
        rule = request.url_rule
        if rule is None or request.method == "OPTIONS":
            return super().dispatch_request()
        view: Callable[..., Any] = self.view_functions[rule.endpoint]
        answer: ResponseReturnValue = view(**(request.view_args or {}))
        return answer

    def preprocess_request(self) -> ResponseReturnValue | None:
        """Call the functions before the view, until one answers."""
        for act in self._hooks_of(context.request()).before:
            answer: ResponseReturnValue | None = act()
            if answer is not None:
                return answer
        return None

    def process_response(self, response: Response) -> Response:
        """Call the functions after the view."""
        current = context.context()
        for act in chain(current._after_request_functions, self._hooks_of(current.request).after):
            response = act(response)  # type: ignore[assignment]  # as in Flask
        return response

    def _match(self, method: str, path: str) -> tuple[Rule, Mapping[str, Any]]:
        return self.url_map.bind("localhost").match(path, method, return_rule=True)

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


@lru_cache(1024)
def _is_plain(host: str) -> bool:
    return _PLAIN_HOST.fullmatch(host) is not None


def _decoded(text: str) -> str:
    """Return text of WSGI, whose characters are bytes (PEP 3333), as UTF-8."""
    return text.encode("latin-1").decode(errors="replace")
