"""A separate stack, one server of which has its data on a small file system that can be filled.

No user's data are ever on it, since a tmpfs loses its files when it is unmounted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.drills.targets.network import require_root, run
from tools.drills.targets.platform import FullDisk, Platform, Unsuitable
from tools.stack import lifecycle
from tools.stack.errors import StackError
from tools.stack.servers.data_directories import private_home
from tools.stack.stack import Stack

# enough for a new PostgreSQL cluster or RabbitMQ, and for the traffic before it is filled
SIZE = "320m"
CHUNK = bytes(1 << 20)


class SmallDisk:
    """The stack, and the small file system at `mounted`."""

    def __init__(self, platform: Platform, stack: Stack, server: str, mounted: Path) -> None:
        self.platform = platform
        self._server = stack.servers()[server]
        self._filler = mounted / "filler"

    def fill(self) -> None:
        """Fill it to the last byte."""
        try:
            with self._filler.open("wb", buffering=0) as file:
                while file.write(CHUNK):
                    pass
        except OSError:
            # the file system is full
            return

    def free(self) -> None:
        """Free the space, and make sure that the server runs."""
        self._filler.unlink(missing_ok=True)
        if not self._serves():
            self._server.stop()
        self._server.start()

    def _serves(self) -> bool:
        try:
            return self._server.running() and self._server.is_ready()
        except StackError:
            return False


@contextmanager
def stack_with_small_disk(
    server: str, as_platform: Callable[[Stack], Platform]
) -> Iterator[FullDisk]:
    """Start a stack with `server` on a small tmpfs, and remove it after the block.

    `as_platform` makes a platform of the stack. Raises Unsuitable.
    """
    require_root("mount", "umount")
    with private_home() as home:
        stack = Stack.private(home)
        mounted = stack.servers()[server].home
        with _tmpfs(mounted):
            try:
                lifecycle.up(stack)
                yield SmallDisk(as_platform(stack), stack, server, mounted)
            finally:
                lifecycle.down(stack)


@contextmanager
def _tmpfs(place: Path) -> Iterator[None]:
    place.mkdir(parents=True)
    options = f"size={SIZE},mode=0711"
    try:
        run("mount", "-t", "tmpfs", "-o", options, "crud-master-drill", str(place))
    except StackError as error:
        raise Unsuitable(f"needs to mount a tmpfs: {error}") from None
    try:
        yield
    finally:
        run("umount", str(place))
