"""A machine where a server's data are on a small file system, in a file, for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from tools.drills.targets import machine_disk_commands as commands
from tools.drills.targets.platform import FullDisk, Platform, Unsuitable
from tools.drills.targets.vagrant import CommandError, Vagrant


class MachineDisk:
    """The small file system of `server` on `machine`."""

    def __init__(self, platform: Platform, vagrant: Vagrant, machine: str, server: str) -> None:
        self.platform = platform
        self._vagrant = vagrant
        self._machine = machine
        self._server = server

    def fill(self) -> None:
        """Fill it to the last byte."""
        self._vagrant.ssh(self._machine, commands.fill(self._server))

    def free(self) -> None:
        """Free the space, and make sure that the server runs."""
        self._vagrant.ssh(self._machine, commands.free(self._server))


@contextmanager
def machine_with_small_disk(
    platform: Platform, vagrant: Vagrant, machine: str, server: str
) -> Iterator[FullDisk]:
    """Move the server's data to a small file system, and back afterwards. Raises Unsuitable."""
    try:
        vagrant.ssh(machine, commands.small_disk(server))
    except CommandError as error:
        if error.status != commands.NO_LOOP:
            raise
        raise Unsuitable(f"needs a machine that can mount a file: {error}") from None
    try:
        yield MachineDisk(platform, vagrant, machine, server)
    finally:
        vagrant.ssh(machine, commands.whole_disk(server))
