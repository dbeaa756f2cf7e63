"""HTTP requests to one process of the platform, with a short time limit."""

import time
from http import HTTPStatus
from typing import Any

from chassis.errors import InvalidError, MalformedJsonError
from chassis.http import caller
from chassis.http.answer import Answer, BrokenAnswerError
from chassis.http.call import Call
from chassis.http.connection import ClosedError, ConnectError
from chassis.http.keepalive import Pool
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
        self._pool = Pool(address, port)

    def get(self, path: str) -> Answer:
        """Return the answer to GET `path`.

        Raises:
            ProbeError: there is no answer, or an incomplete one.
        """
        call = Call("GET", path, {caller.HEADER: caller.WATCH})
        try:
            return self._pool.call(call, time.monotonic() + SECONDS, SECONDS)
        except ConnectError as error:
            refused = error.cause == "connection_refused"
            detail = f"unreachable within {SECONDS:g} s" if error.is_timeout else str(error)
            raise ProbeError(detail, reached=refused) from error
        except TimeoutError as error:
            raise ProbeError(f"no answer within {SECONDS:g} s") from error
        except ClosedError as error:
            raise ProbeError("closed the connection without an answer") from error
        except (BrokenAnswerError, OSError) as error:
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
