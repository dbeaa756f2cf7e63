"""A PostgreSQL and its standby: streaming replication, and promotion."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.stack.ports import free_port
from tools.stack.servers.data_directories import private_home
from tools.stack.servers.postgres import ACCESS, SUPERUSER, Postgres, binary

OPTIONS = {"wal_level": "replica", "max_wal_senders": "4"}
REPLICATION = "local replication all trust\n"


class Primary(Postgres):
    """A server that standbys on this machine can follow over its socket."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        super().__init__(home, host="127.0.0.1", port=port, fsync=False, options=OPTIONS)

    def _fill(self) -> None:
        super()._fill()
        (self._data / "pg_hba.conf").write_text(ACCESS + REPLICATION)


class Standby(Primary):
    """A server that follows another until it is promoted."""

    def __init__(self, home: Path, primary: Primary) -> None:
        super().__init__(home)
        self._primary = primary

    def promote(self) -> None:
        """Promote the standby: it follows no server and accepts writes."""
        command = [binary("psql"), "-qXAtv", "ON_ERROR_STOP=1", "-c", "SELECT pg_promote()"]
        self._run(command + self.connection(SUPERUSER, "postgres"))

    def _fill(self) -> None:
        primary = ["-h", str(self._primary.socket), "-p", str(self._primary.port), "-U", SUPERUSER]
        options = ["-R", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]
        self._run([binary("pg_basebackup"), "-D", str(self._data), *primary, *options])


@contextmanager
def replicated() -> Iterator[tuple[Primary, Standby]]:
    """Lend a server and its standby; the standby is empty and not started."""
    with private_home() as home:
        primary = Primary(home / "primary")
        standby = Standby(home / "standby", primary)
        try:
            primary.start()
            yield primary, standby
        finally:
            primary.stop()
            standby.stop()
