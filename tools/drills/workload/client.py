"""A client that sends a request, times it, and classifies the answer."""

import json
import time

import urllib3
from urllib3.exceptions import HTTPError

from tools.drills.checks import answers
from tools.drills.workload.history import Answer, Request, Verdict

MAX_IN_FLIGHT = 400
"""The most requests in flight at once."""
# the gateway waits 10 s for a service behind it, and may try twice
TIMEOUT = urllib3.Timeout(connect=5, read=30)


class Client:
    """Sends requests to the gateway, each over a connection of its own, from any thread."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._pool = urllib3.PoolManager(timeout=TIMEOUT, retries=False, maxsize=MAX_IN_FLIGHT)

    def send(self, request: Request, due: float | None = None) -> Answer:
        """Send a request that was due at `due`, and return its answer."""
        due = time.monotonic() if due is None else due
        try:
            response = self._pool.request(
                request.method,
                self._url + request.path,
                body=None if request.body is None else json.dumps(request.body),
                headers=self._headers(request),
            )
        except (HTTPError, OSError) as error:
            return _answer(request, due, Verdict.UNANSWERED, 0, None, repr(error))
        media_type = response.headers.get("Content-Type", "")
        verdict, found, detail = answers.read(request, response.status, media_type, response.data)
        return _answer(request, due, verdict, response.status, found, detail)

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Connection": "close",
        }
        if request.key:
            headers["Idempotency-Key"] = request.key
        if request.name:
            headers["X-Request-ID"] = request.name
        return headers


def _answer(
    request: Request, due: float, verdict: Verdict, status: int, found: str | None, detail: str
) -> Answer:
    return Answer(request, verdict, status, time.monotonic() - due, found, detail)
