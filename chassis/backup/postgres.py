"""Dumps and restores one database, with pg_dump, pg_restore and psql.

Everything is done as the service's own role: no superuser, and no role of the old platform. A
restore is one transaction, which `commit` ends: until then, and after any failure, the database is
what it was.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from chassis.backup import programs
from chassis.backup.errors import BackupError
from chassis.settings import DatabaseSettings
from chassis.storage.database import CONNECT_TIMEOUT, connect_args

LOCK_SECONDS = 60
"""How long another session may hold a table before a dump or a restore gives up."""
MOST_COUNTED = 100_000
_LOADED = "loaded"
# extensions and what belongs to them stay: the dump creates an extension only where it is missing
_EMPTY = """
DO $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT format('DROP %s IF EXISTS public.%I CASCADE', kind, name) FROM (
            SELECT 'pg_class'::regclass AS catalog, oid, relname AS name,
                CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                    WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind
            FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
            UNION ALL
            SELECT 'pg_type'::regclass, oid, typname, CASE typtype WHEN 'd' THEN 'DOMAIN'
                ELSE 'TYPE' END
            FROM pg_type
            WHERE typnamespace = 'public'::regnamespace AND typtype IN ('d', 'e')
        ) AS made
        -- neither a part of an extension nor the sequence of a column
        WHERE NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = catalog AND objid = made.oid
                AND (deptype = 'e' OR kind = 'SEQUENCE' AND deptype IN ('a', 'i'))
        )
        ORDER BY kind NOT LIKE '%VIEW', kind <> 'TABLE'
    LOOP
        EXECUTE command;
    END LOOP;
    FOR command IN
        SELECT format('DROP ROUTINE IF EXISTS public.%I(%s) CASCADE', proname,
            pg_get_function_identity_arguments(oid))
        FROM pg_proc AS made
        WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (
            SELECT FROM pg_depend
            WHERE classid = 'pg_proc'::regclass AND objid = made.oid AND deptype = 'e'
        )
    LOOP
        EXECUTE command;
    END LOOP;
END
$$;
"""
_SNAPSHOT = text(
    "SELECT pg_export_snapshot(), clock_timestamp(), "
    "current_setting('server_version_num')::integer / 10000"
)
# what a new platform's migrations and processes write by themselves: nobody misses it
_TECHNICAL = ["alembic_version", "bill_queues"]
_TABLES = text(
    "SELECT tablename FROM pg_tables "
    "WHERE schemaname = 'public' AND tablename <> ALL(:technical) ORDER BY tablename"
)


class Snapshot(NamedTuple):
    """A snapshot that pg_dump can share, when it was taken, and of what."""

    name: str
    taken_at: datetime
    postgresql: int
    revision: str


@contextmanager
def connected(settings: DatabaseSettings) -> Iterator[Connection]:
    """Lend a connection whose transaction sees one snapshot. Raises OperationalError."""
    options = {"timezone": "UTC", "lock_timeout": f"{LOCK_SECONDS}s"}
    engine = create_engine(
        settings.url,
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
        connect_args=connect_args(settings.place, options),
    )
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def snapshot(connection: Connection) -> Snapshot:
    """Take the snapshot of a connection's transaction, which must outlast its use.

    Raises BackupError: the database was never migrated.
    """
    name, taken_at, version = connection.execute(_SNAPSHOT).one()
    found = revision(connection)
    if found is None:
        raise BackupError("The database has no tables yet.")
    return Snapshot(name, taken_at, version, found)


def revision(connection: Connection) -> str | None:
    """Return the newest migration of a database; None if there was none."""
    if connection.execute(text("SELECT to_regclass('public.alembic_version')")).scalar() is None:
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def version(connection: Connection) -> int:
    """Return the major version of a connection's server."""
    number = connection.execute(text("SELECT current_setting('server_version_num')")).scalar_one()
    return int(number) // 10_000


def rows(connection: Connection) -> dict[str, int]:
    """Return how many rows the tables have that have any, `MOST_COUNTED` at most."""
    counted = {}
    for table in connection.execute(_TABLES, {"technical": _TECHNICAL}).scalars():
        name = connection.dialect.identifier_preparer.quote(table)
        some = text(f"SELECT count(*) FROM (SELECT FROM {name} LIMIT {MOST_COUNTED}) AS counted")
        counted[table] = int(connection.execute(some).scalar_one())
    return {table: count for table, count in counted.items() if count}


def dump(
    settings: DatabaseSettings, taken: Snapshot, file: BinaryIO, account: str | None = None
) -> None:
    """Write a snapshot into a file, in pg_dump's custom format.

    Args:
        settings: the database.
        taken: the snapshot.
        file: where the dump goes.
        account: who runs pg_dump; None for the caller.

    Raises:
        BackupError: it failed.
    """
    command = [programs.required("pg_dump"), "--format=custom", "--no-owner", "--no-privileges"]
    command += [f"--snapshot={taken.name}", f"--lock-wait-timeout={LOCK_SECONDS}s", "--no-password"]
    done = subprocess.run(
        command,
        env=_environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=file,
        stderr=subprocess.PIPE,
        **_run_by(account),
    )
    if done.returncode:
        said = _said(done.stderr) or f"pg_dump ended with status {done.returncode}"
        raise BackupError(f"{settings.name} was not dumped: {said}")


class Restoration:
    """The restore of one database, in one transaction; `close` must follow."""

    def __init__(self, settings: DatabaseSettings, file: Path, account: str | None = None) -> None:
        """Start psql.

        Args:
            settings: the database.
            file: the dump.
            account: who runs psql, since a dump is a script; None for the caller.
        """
        self._settings = settings
        self._file = file
        self._account = account
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (as long as psql runs)
        command = [programs.required("psql"), "--no-psqlrc", "--quiet", "--no-password"]
        command += ["--set=ON_ERROR_STOP=1", "--output=/dev/null"]
        self._psql = subprocess.Popen(
            command,
            env=_environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            **_run_by(account),
        )

    def load(self) -> None:
        """Replace all that is in the database, without committing it. Raises BackupError."""
        self._write(f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s';\n{_EMPTY}")
        command = [programs.required("pg_restore"), "--file=-", "--no-owner", "--no-privileges"]
        with self._file.open("rb") as opened:
            done = subprocess.run(
                [*command, "--no-comments"],
                env=_environment(self._settings),
                stdin=opened,
                stdout=self._psql.stdin,
                stderr=subprocess.PIPE,
                **_run_by(self._account),
            )
        if done.returncode and self._psql.poll() is None:
            self._close()
            # psql's own error comes first: pg_restore then fails because nobody reads its output
            raise BackupError(f"{self._failure}: {self._words() or _said(done.stderr)}")
        self._write(f"\n\\echo {_LOADED}\n")
        assert self._psql.stdout is not None
        if self._psql.stdout.readline().decode().strip() != _LOADED:
            self._close()
            raise BackupError(f"{self._failure}: {self._words()}")

    def commit(self) -> None:
        """Make what was loaded the content of the database. Raises BackupError."""
        self._write("COMMIT;\n")
        self._close()
        if self._psql.returncode:
            raise BackupError(f"{self._failure}: {self._words()}")

    def close(self) -> None:
        """End the transaction without effect, unless it is committed."""
        if self._psql.returncode is None:
            self._close()
        self._errors.close()

    @property
    def _failure(self) -> str:
        return f"{self._settings.name} was not restored, and is what it was"

    def _write(self, script: str) -> None:
        assert self._psql.stdin is not None
        # a psql that has ended has said why
        with suppress(BrokenPipeError):
            self._psql.stdin.write(script.encode())
            self._psql.stdin.flush()

    def _close(self) -> None:
        """Let psql see the end of its input: it rolls back what is not committed."""
        with suppress(BrokenPipeError):
            self._psql.communicate()
        self._psql.wait()

    def _words(self) -> str:
        self._errors.seek(0)
        return _said(self._errors.read())


def _said(errors: bytes) -> str:
    """The first line that a program has written to standard error."""
    lines = [line.strip() for line in errors.decode(errors="backslashreplace").splitlines()]
    found = next((line for line in lines if "error:" in line.lower()), next(iter(lines), ""))
    return found


def _run_by(account: str | None) -> dict[str, Any]:
    """The arguments that have another account run a program."""
    return {"user": account, "group": account, "extra_groups": []} if account else {}


def _environment(settings: DatabaseSettings) -> dict[str, str]:
    """libpq's variables: a command line would show the password to everybody."""
    place = {f"PG{name.upper().replace('_', '')}": text for name, text in settings.place.items()}
    return {
        **place,
        "PGDATABASE": settings.name,
        "PGUSER": settings.user,
        "PGPASSWORD": settings.password.get_secret_value(),
        "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT),
        "PGCLIENTENCODING": "UTF8",
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
    }
