"""Prints the configuration of Redis for a machine: a cache, without persistence or a port.

    python3 -m provisioning.redis.configuration SOCKET PERMISSIONS DIRECTORY

Source: redis.conf of Redis 6 to 8.
"""

import sys
from pathlib import Path

MEGABYTES = 32
CONFIGURATION = """\
# crud-master: a cache of answers. It holds nothing that is not elsewhere, and listens on no port.
port 0
unixsocket {socket}
unixsocketperm {permissions}
dir {directory}
maxmemory {megabytes}mb
maxmemory-policy allkeys-lru
save ""
appendonly no
lazyfree-lazy-eviction yes
lazyfree-lazy-user-flush yes
protected-mode yes
timeout 0
loglevel notice
logfile ""
"""


def configuration(socket: Path, permissions: str, directory: Path) -> str:
    """Return the text of redis.conf.

    Args:
        socket: the unix socket that it listens on.
        permissions: of the socket, in octal digits.
        directory: its working directory.
    """
    return CONFIGURATION.format(
        socket=socket, permissions=permissions, directory=directory, megabytes=MEGABYTES
    )


if __name__ == "__main__":
    path, mode, home = sys.argv[1:]
    sys.stdout.write(configuration(Path(path), mode, Path(home)))
