"""Whether a machine is up: its SSH server takes connections, whatever became of its processes."""

import socket

from chassis.errors import first_line
from gateway.status.probe import SECONDS, AwayError

PORT = 22


def is_up(address: str) -> bool:
    """Connect, and tell that it was possible.

    Raises:
        AwayError: it was not.
    """
    try:
        socket.create_connection((address, PORT), SECONDS).close()
    except OSError as error:
        raise AwayError(first_line(error)) from error
    return True
