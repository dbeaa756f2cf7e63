"""Calls from one service to another over HTTP, with time limits and the caller's trace."""

import threading
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ReadTimeoutError
from werkzeug.exceptions import BadRequest

from chassis import parsing, trace
from chassis.errors import NotFoundError, UnavailableError, UpstreamError, UpstreamTimeoutError
from chassis.kept_connections import Pool, cause
from chassis.settings import Upstream

CONNECT_SECONDS, READ_SECONDS = 1.0, 5.0


class ServiceClient:
    """Reads from one other service."""

    def __init__(self, upstream: Upstream) -> None:
        self.name = upstream.name
        self._base = f"http://{upstream.host}:{upstream.port}"
        self._local = threading.local()

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON at `path`, with decimals as `Decimal`.

        Raises:
            NotFoundError: 404.
            UnavailableError: it can't be reached, or says so itself (503).
            UpstreamTimeoutError: it takes too long.
            UpstreamError: another answer than 200, or one that is not JSON.
        """
        response = self._get(path, query)
        if response.status_code == 404:
            raise NotFoundError(f"{self.name} knows nothing at {path}.")
        if response.status_code == 503:
            raise UnavailableError(f"{self.name} is not available.", cause="upstream_unavailable")
        if response.status_code != 200:
            raise UpstreamError(f"{self.name} has answered {response.status_code}.")
        try:
            return parsing.decoded(response.content)
        except BadRequest as error:
            raise UpstreamError(f"{self.name} has not answered with JSON.") from error

    def _get(self, path: str, query: dict[str, str]) -> requests.Response:
        try:
            return self._attempt(path, query)
        except requests.ReadTimeout as error:
            raise UpstreamTimeoutError(f"{self.name} has not answered in time.") from error
        except requests.ConnectionError as error:
            raise UnavailableError(f"{self.name} can't be reached.", cause=cause(error)) from error
        except requests.RequestException as error:
            raise UpstreamError(f"{self.name} has not given a whole answer.") from error

    def _attempt(self, path: str, query: dict[str, str]) -> requests.Response:
        try:
            return self._send(path, query)
        except requests.ConnectTimeout:
            raise
        except requests.ConnectionError as error:
            if isinstance(error.args[0], ReadTimeoutError):
                # how requests calls a body that stops in the middle
                raise requests.ReadTimeout(*error.args) from error
            # a kept connection, perhaps, that the other side has closed meanwhile
            return self._send(path, query)

    def _send(self, path: str, query: dict[str, str]) -> requests.Response:
        current = trace.current()
        return self._session().get(
            self._base + path,
            params=query,
            headers=current.headers if current else {},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
        )

    def _session(self) -> requests.Session:
        """A session is no thread's but its own."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.trust_env = False  # a proxy is for the world outside
            adapter = HTTPAdapter()
            adapter.poolmanager.pool_classes_by_scheme = {"http": Pool}
            session.mount("http://", adapter)
            self._local.session = session
        session = self._local.session
        assert isinstance(session, requests.Session)
        return session
