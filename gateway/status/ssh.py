"""Whether a machine is up: its SSH server accepts connections, even if all processes are down."""

import socket

from chassis.errors import first_line
from gateway.status.probe import SECONDS, ProbeError

PORT = 22


def is_up(address: str) -> bool:
    """Return True if the SSH server accepts a connection.

    Raises:
        ProbeError: it does not.
    """
    try:
        socket.create_connection((address, PORT), SECONDS).close()
    except OSError as error:
        raise ProbeError(first_line(error)) from error
    return True
