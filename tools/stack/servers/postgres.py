"""A private PostgreSQL cluster in one home directory, run by Debian's binaries."""

import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from chassis.backup import programs
from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.servers.daemon import Daemon
from tools.stack.servers.data_directories import make_private, postgres_account
from tools.stack.servers.sql import database_script
from tools.stack.waiting import wait_until

START_SECONDS = 60.0
SUPERUSER = "postgres"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
ACCESS = "local all all trust\nhost all all 127.0.0.0/8 scram-sha-256\n"
INITDB_OPTIONS = ("--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust")
SETTINGS = {
    "shared_buffers": "16MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "jit": "off",
    "unix_socket_permissions": "0700",
}
UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


def binary(name: str) -> str:
    """The path of a program of the newest PostgreSQL installed. Raises StackError if none is."""
    found = programs.newest(name)
    if found is None:
        raise StackError("PostgreSQL is not installed: run ./stack up, which installs it.")
    return found


class Postgres:
    """One cluster below `home` that listens on `host`:`port` and on a socket for its owner only.

    With `fsync=False` a crash of the machine may lose data: for tests. `options` are settings of
    the server that differ from ours.
    """

    def __init__(
        self,
        home: Path,
        *,
        host: str,
        port: int,
        fsync: bool = True,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.host = host
        self.port = port
        self.socket = home / "socket"
        self._data = home / "data"
        self._options = SETTINGS | ({} if fsync else UNSAFE) | dict(options or {})
        self._account = postgres_account()
        self._daemon = Daemon(
            f"PostgreSQL on port {port}", self._data, home / "server.pid", home / "server.log"
        )

    def start(self) -> None:
        """Start the server, unless it runs; initializes missing data first.

        Raises StackError when it does not accept connections in time.
        """
        if not self.running():
            self._initialize()
            self._remove_stale_locks()
            self._daemon.start(self._command(), ENVIRONMENT, self._account)
        wait_until(self.is_ready, START_SECONDS, f"{self._daemon.name} to accept connections")

    def initialize_like(self, other: "Postgres") -> None:
        """Take over the data of a server that was initialized and never started, if it has none.

        Copying takes a fraction of what initdb takes. Raises StackError.
        """
        other._initialize()
        self._make_directories()
        if not self.has_data():
            new = self._new_data()
            self._run(["cp", "-a", "--reflink=auto", f"{other._data}/.", str(new)])
            self._take(new)

    def has_data(self) -> bool:
        """Whether its data are initialized."""
        return (self._data / "PG_VERSION").exists()

    def stop(self) -> None:
        """Stop the server: sessions are cut off, committed data are kept."""
        self._daemon.end(signal.SIGINT)

    def stop_at_once(self) -> None:
        """Stop the server without a checkpoint: the next start recovers from its log.

        Unlike a kill it leaves no shared memory behind, if there is no next start.
        """
        self._daemon.end(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End it like a power cut (SIGKILL), and wait until its children have ended."""
        self._daemon.end(signal.SIGKILL)

    def running(self) -> bool:
        """Whether the server process runs."""
        return self._daemon.running()

    def is_current(self) -> bool:
        """Whether it was started as it would be started now."""
        pid = self._daemon.pid()
        return pid is not None and processes.command(pid) == " ".join(self._command())

    def pids(self) -> list[int]:
        """The server and all its backends."""
        return self._daemon.family()

    def create_database(self, name: str, user: str, password: str) -> None:
        """Make sure that `user` can log in with `password`, and alone owns database `name`.

        Raises StackError with psql's message.
        """
        command = [binary("psql"), "-qXv", "ON_ERROR_STOP=1"]
        command += self.connection(SUPERUSER, "postgres")
        self._run(command, database_script(name, user, password))

    def connection(self, user: str, database: str) -> list[str]:
        """psql's arguments for the owner's socket, which needs no password."""
        return ["-h", str(self.socket), "-p", str(self.port), "-U", user, "-d", database]

    def _command(self) -> list[str]:
        options = self._options | {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket),
        }
        pairs = (("-c", f"{name}={value}") for name, value in options.items())
        return [binary("postgres"), "-D", str(self._data), *(word for p in pairs for word in p)]

    def _initialize(self) -> None:
        self._make_directories()
        if not self.has_data():
            self._fill()

    def _make_directories(self) -> None:
        for directory in (self.home, self._data, self.socket):
            make_private(directory, self._account)

    def _fill(self) -> None:
        """Initialize the data."""
        new = self._new_data()
        self._run([binary("initdb"), "-D", str(new), "-U", SUPERUSER, *INITDB_OPTIONS])
        (new / "pg_hba.conf").write_text(ACCESS)
        self._take(new)

    def _new_data(self) -> Path:
        """An empty directory beside the data, so that half of them never looks like the whole."""
        new = self.home / "new"
        shutil.rmtree(new, ignore_errors=True)
        make_private(new, self._account)
        return new

    def _take(self, new: Path) -> None:
        """Make complete data its own."""
        try:
            new.rename(self._data)
        except OSError as error:
            reason = f"{self._data} is not empty, and has no PostgreSQL data: remove it."
            raise StackError(reason) from error

    def _remove_stale_locks(self) -> None:
        """Remove the locks of a crash: their process id may be another process by now."""
        wait_until(
            lambda: not self.pids(), START_SECONDS, f"the rest of {self._daemon.name} to end"
        )
        for lock in ((self._data / "postmaster.pid"), *self.socket.iterdir()):
            lock.unlink(missing_ok=True)

    def is_ready(self) -> bool:
        """Whether it accepts connections. Raises StackError if it has ended."""
        self._daemon.check()
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() in ("ready", "standby")

    def _run(self, command: list[str], text: str = "") -> None:
        done = subprocess.run(
            command,
            input=text,
            text=True,
            capture_output=True,
            cwd=self.home,
            env=ENVIRONMENT,
            user=self._account,
            group=self._account,
            extra_groups=[] if self._account else None,
        )
        if done.returncode:
            raise StackError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
