"""What befalls servers of the tests' stack, for a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from local.stack import Server


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """Have a server away, as after a power cut."""
    server.kill()
    try:
        yield
    finally:
        server.start()
