"""A private Redis in one home directory: it caches, and keeps nothing on disk."""

import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from provisioning.redis.configuration import configuration
from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.servers.daemon import Daemon
from tools.stack.waiting import wait_until

if TYPE_CHECKING:
    import redis

START_SECONDS = 30.0
ANSWER_SECONDS = 1.0
SOCKET = "redis.sock"


def socket_below(home: Path) -> Path:
    """The socket of the Redis of a stack, by the stack's home."""
    return home / "redis" / SOCKET


class Redis:
    """One Redis below `home`, which listens on a socket for its owner only, and on no port."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.socket = home / SOCKET
        self._configuration = home / "redis.conf"
        self._daemon = Daemon("Redis", home, home / "server.pid", home / "server.log")

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self.socket)

    def start(self) -> None:
        """Start the server, unless it runs, and wait until it answers. Raises StackError."""
        if not self.running():
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._configuration.write_text(self._text())
            self.socket.unlink(missing_ok=True)
            self._daemon.start(self._command(), {"PATH": os.defpath, "LANG": "C.UTF-8"})
        wait_until(self.is_ready, START_SECONDS, "Redis to answer")

    def stop(self) -> None:
        """Stop the server, if it runs; a frozen one, too."""
        self.thaw()
        self._daemon.end(signal.SIGTERM)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End it like a power cut (SIGKILL)."""
        self._daemon.end(signal.SIGKILL)

    def flush(self) -> None:
        """Remove all that it holds. Raises redis.RedisError."""
        with self._client() as client:
            client.flushall()

    def running(self) -> bool:
        """Whether the server process runs."""
        return self._daemon.running()

    def is_current(self) -> bool:
        """Whether it was started as it would be started now."""
        written = self._configuration
        return written.exists() and written.read_text() == self._text()

    def is_ready(self) -> bool:
        """Whether it answers. Raises StackError if it has ended."""
        self._daemon.check()
        from redis import RedisError

        try:
            with self._client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def pids(self) -> list[int]:
        """The server's process id in a list, which is empty if it does not run."""
        return self._daemon.family()

    def freeze(self) -> None:
        """Stop the process (SIGSTOP): it accepts connections, and answers nothing."""
        processes.signal_all(self.pids(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process go on (SIGCONT)."""
        processes.thaw(self.pids())

    def _client(self) -> "redis.Redis":
        import redis  # here, since no other command needs it

        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=ANSWER_SECONDS)

    def _text(self) -> str:
        return configuration(self.socket, "700", self.home)

    def _command(self) -> list[str]:
        program = shutil.which("redis-server", path="/usr/local/bin:/usr/bin:/bin")
        if program is None:
            raise StackError("Redis is not installed: run ./stack up, which installs it.")
        return [program, str(self._configuration)]
