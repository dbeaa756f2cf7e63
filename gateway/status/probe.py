"""HTTP requests to one process of the platform, with a short time limit."""

from http import HTTPStatus
from typing import Any

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    TimeoutError,
)

from chassis.errors import InvalidError, MalformedJsonError
from chassis.http import caller
from chassis.http.keepalive import Pool, cause, was_closed
from chassis.schema.decoding import decode

SECONDS = 0.8


class ProbeError(Exception):
    """The process gave no usable answer.

    Attributes:
        reached: whether the machine has answered, even if it refused the connection.
    """

    def __init__(self, detail: str, reached: bool = True) -> None:
        super().__init__(detail)
        self.reached = reached


class Probe:
    """Asks one process; may be used by two threads at once."""

    def __init__(self, address: str, port: int) -> None:
        self._pool = Pool(address, port, maxsize=2, retries=False)

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """Return the answer to GET `path`.

        Raises:
            ProbeError: there is no answer, or an incomplete one.
        """
        try:
            return self._attempt(path)
        except NewConnectionError as error:
            refused = cause(error) == "connection_refused"
            raise ProbeError(_reason(error), reached=refused) from error
        except ConnectTimeoutError as error:
            raise ProbeError(f"unreachable within {SECONDS:g} s", reached=False) from error
        except TimeoutError as error:
            raise ProbeError(f"no answer within {SECONDS:g} s") from error
        except HTTPError as error:
            raise ProbeError(f"incomplete answer: {error}") from error

    def json(self, path: str) -> Any:
        """Return the JSON at a path, with decimals as `Decimal`.

        Raises:
            ProbeError: there is no answer, its status is not 200, or it is no JSON.
        """
        answer = self.get(path)
        if answer.status != HTTPStatus.OK:
            raise ProbeError(f"answered {answer.status}")
        try:
            return decode(answer.data)
        except (MalformedJsonError, InvalidError) as error:
            raise ProbeError("answered with something else than JSON") from error

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.close()

    def _attempt(self, path: str) -> urllib3.BaseHTTPResponse:
        try:
            return self._request(path)
        except ProtocolError as error:
            if not was_closed(error):
                raise
            return self._request(path)

    def _request(self, path: str) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            "GET",
            path,
            headers={caller.HEADER: caller.WATCH},
            timeout=urllib3.Timeout(total=SECONDS),
            redirect=False,
        )


def _reason(error: NewConnectionError) -> str:
    reason = error.__cause__
    text = reason.strerror if isinstance(reason, OSError) else None
    return text.lower() if text else str(error)
