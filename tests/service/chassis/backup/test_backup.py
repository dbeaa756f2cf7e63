"""A backup of databases and its restore into new ones, and everything that is refused."""

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from chassis.backup import manifest, postgres, work
from chassis.backup.errors import BackupError
from chassis.backup.platform import Broker, Platform
from chassis.settings import DatabaseSettings
from chassis.storage import migrations, sequences
from tests.support.databases import settings_of
from tests.support.servers import DATABASES, PASSWORD
from tools.stack.layout import CHECKOUT
from tools.stack.ports import free_port
from tools.stack.servers.postgres import Postgres
from tools.stack.variables import example

SERVICES = ("inventory", "billing")
MOVIE = "INSERT INTO movies (title) VALUES ('The Matrix') RETURNING id"
BILL = (
    "INSERT INTO orders (message_id, user_id, number_of_items, total_amount) "
    "VALUES ('m1', 'usr', 1, 2) RETURNING id"
)
FOREIGN = {
    "users": [{"name": "u", "password_hash": "secret"}],
    "parameters": [{"vhost": "v", "component": "shovel", "value": "amqp://u:secret@h"}],
    "queues": [{"vhost": "v", "name": "mine"}, {"vhost": "other", "name": "theirs"}],
    "exchanges": [],
    "bindings": [],
    "policies": [],
}


class Databases(Platform):
    """Services with databases on one server; the broker only notes what it is asked."""

    # root has another account run PostgreSQL's programs, as on machines
    account = "daemon" if os.geteuid() == 0 else None

    def __init__(self, server: Postgres, suffix: str) -> None:
        self.services: Sequence[str] = SERVICES
        self.server = server
        self.suffix = suffix
        self.asked: list[tuple[str, ...]] = []
        self.imported: list[str | None] = []
        self.stops = 0
        self.flushes = 0

    def create(self, revisions: dict[str, str] | None = None) -> None:
        """Make the databases of a new platform."""
        for service in SERVICES:
            user = DATABASES[service][1]
            self.server.create_database(self._name(service), user, PASSWORD)
            revision = (revisions or {}).get(service, "head")
            migrations.upgrade(service, self.database(service), revision)

    def database(self, service: str) -> DatabaseSettings:
        """A database of this platform."""
        own = settings_of(service, str(self.server.port))
        return own.model_copy(update={"name": self._name(service)})

    def _name(self, service: str) -> str:
        return f"{service}_{self.suffix}"

    def broker(self) -> Broker:
        """A broker on billing's machine."""
        return Broker("billing", "v", self._control, "/own.json")

    def _control(self, *arguments: str, text: str | None = None) -> str:
        self.asked.append(arguments)
        self.imported.append(text)
        return json.dumps(FOREIGN)

    @contextmanager
    def stopped(self, services: Sequence[str]) -> Iterator[None]:
        """Count the stops."""
        self.stops += 1
        yield

    def finish(self, service: str) -> str:
        """Run the service's command, as every platform does."""
        settings, prefix = self.database(service), f"{service.upper()}_DB_"
        own = {"HOST": settings.host, "PORT": str(settings.port), "NAME": settings.name}
        own |= {"USER": settings.user, "PASSWORD": PASSWORD}
        variables = example() | {f"{prefix}{name}": value for name, value in own.items()}
        environment = {**variables, "RABBITMQ_HOST": "127.0.0.1", "PATH": os.defpath}
        command = [sys.executable, "-m", service, "restored"]
        return subprocess.check_output(command, cwd=CHECKOUT, env=environment, text=True)

    def flush_cache(self) -> None:
        """Count the flushes."""
        self.flushes += 1

    def run(self, service: str, statement: str) -> Any:
        """Run a statement, and return the one value of its answer."""
        engine = create_engine(self.database(service).url, poolclass=NullPool)
        with engine.begin() as connection:
            answer = connection.execute(text(statement))
            return answer.scalar() if answer.returns_rows else None


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Postgres]:
    """A server of this module's own."""
    server = Postgres(home / "backups", host="127.0.0.1", port=free_port(), fsync=False)
    server.start()
    yield server
    server.stop_at_once()


@pytest.fixture
def old(server: Postgres, request: pytest.FixtureRequest) -> Databases:
    """A platform with a movie and a bill."""
    old = Databases(server, f"old{abs(hash(request.node.name))}")
    old.create()
    old.run("inventory", MOVIE)
    old.run("billing", BILL)
    return old


@pytest.fixture
def new(server: Postgres, request: pytest.FixtureRequest) -> Databases:
    """A new platform."""
    new = Databases(server, f"new{abs(hash(request.node.name))}")
    new.create()
    return new


def restored(platform: Platform, source: Path, *only: str, replace: bool = False) -> str:
    """Restore, and return what is said."""
    said: list[str] = []
    work.restore(platform, source, only, replace, said.append)
    return "\n".join(said)


def rewrite(source: Path, **changes: Any) -> None:
    """Change the manifest of a backup; a dotted name is of billing's database."""
    path = source / manifest.FILE
    document = json.loads(path.read_text())
    for name, value in changes.items():
        document[name] = value
    path.write_text(json.dumps(document))


def of_billing(source: Path, **changes: Any) -> dict[str, Any]:
    """The databases of a manifest, with changes for billing."""
    databases: dict[str, Any] = json.loads((source / manifest.FILE).read_text())["databases"]
    databases["billing"] |= changes
    return databases


def test_a_backup_is_restored_into_a_new_platform(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    source = tmp_path / "monday"
    work.back_up(old, source)
    said = restored(new, source)
    assert new.run("inventory", "SELECT title FROM movies") == "The Matrix"
    assert new.run("billing", "SELECT message_id FROM orders") == "m1"
    owner = "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'"
    assert new.run("billing", owner) == DATABASES["billing"][1]
    assert "as of" in said
    assert (new.stops, new.flushes) == (1, 1)


def test_no_id_that_a_client_may_hold_is_given_again(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    work.back_up(old, tmp_path / "monday")
    later = old.run("inventory", MOVIE)
    restored(new, tmp_path / "monday")
    assert new.run("inventory", MOVIE) > later
    assert new.run("billing", "SELECT last_value FROM orders_id_seq") > sequences.SKIPPED


def test_a_restore_of_inventory_tells_the_gateways_caches(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    work.back_up(old, tmp_path / "monday")
    restored(new, tmp_path / "monday", "inventory")
    assert new.run("inventory", "SELECT routing_key FROM outbox") == "inventory.restored"


def test_only_the_owner_can_read_a_backup_and_no_secret_is_in_its_manifest(
    old: Databases, tmp_path: Path
) -> None:
    source = tmp_path / "monday"
    work.back_up(old, source)
    assert stat.S_IMODE(source.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in source.iterdir()} == {0o600}
    text = (source / manifest.FILE).read_text()
    assert PASSWORD not in text
    assert DATABASES["billing"][1] not in text


def test_definitions_have_neither_users_nor_parameters_nor_what_is_of_others(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    work.back_up(old, tmp_path / "monday")
    stored = (tmp_path / "monday" / manifest.DEFINITIONS).read_text()
    assert "secret" not in stored
    assert "theirs" not in stored
    restored(new, tmp_path / "monday")
    assert new.asked == [("import_definitions",), ("import_definitions", "/own.json")]
    assert json.loads(new.imported[0] or "")["queues"] == [{"name": "mine", "vhost": "v"}]


def test_definitions_are_restored_with_the_service_of_their_machine_alone(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    work.back_up(old, tmp_path / "monday")
    restored(new, tmp_path / "monday", "inventory")
    assert new.asked == []
    assert new.run("billing", "SELECT count(*) FROM orders") == 0


def test_a_platform_with_data_is_refused_and_named(old: Databases, tmp_path: Path) -> None:
    work.back_up(old, tmp_path / "monday")
    old.run("inventory", "UPDATE movies SET title = 'Tron'")
    with pytest.raises(BackupError, match=r"inventory_old\d+ \(rows: movies 1\); .* --replace"):
        restored(old, tmp_path / "monday")
    assert old.run("inventory", "SELECT title FROM movies") == "Tron"
    assert old.stops == 0


def test_replace_replaces_everything_and_says_what(old: Databases, tmp_path: Path) -> None:
    work.back_up(old, tmp_path / "monday")
    old.run("inventory", "UPDATE movies SET title = 'Tron'")
    old.run("inventory", "CREATE VIEW titles AS SELECT title FROM movies")
    old.run("inventory", "CREATE TYPE mood AS ENUM ('good')")
    old.run("inventory", "CREATE TABLE of_a_later_release (mood mood)")
    said = restored(old, tmp_path / "monday", replace=True)
    assert "movies 1" in said
    assert old.run("inventory", "SELECT title FROM movies") == "The Matrix"
    assert old.run("inventory", "SELECT to_regclass('of_a_later_release')") is None


def test_a_backup_of_an_earlier_release_is_migrated(
    server: Postgres, new: Databases, tmp_path: Path
) -> None:
    earlier = Databases(server, "earlier")
    newest = migrations.revisions("billing")
    earlier.create({"billing": newest[1]})
    earlier.run("billing", BILL)
    work.back_up(earlier, tmp_path / "monday")
    restored(new, tmp_path / "monday")
    assert new.run("billing", "SELECT version_num FROM alembic_version") == newest[0]
    assert new.run("billing", "SELECT message_id FROM orders") == "m1"


def test_a_backup_of_a_newer_release_is_refused(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    source = tmp_path / "monday"
    work.back_up(old, source)
    rewrite(source, version="9.0.0", databases=of_billing(source, revision="billing_9999"))
    with pytest.raises(BackupError, match=r"billing is of a newer release: .* 9\.0\.0 or a later"):
        restored(new, source)


def test_a_backup_of_a_newer_postgresql_is_refused(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    source = tmp_path / "monday"
    work.back_up(old, source)
    rewrite(source, databases=of_billing(source, postgresql=99))
    with pytest.raises(BackupError, match="The backup is of PostgreSQL 99, and this is PostgreSQL"):
        restored(new, source)


def test_a_backup_of_a_newer_format_is_refused(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    work.back_up(old, tmp_path / "monday")
    rewrite(tmp_path / "monday", format=2)
    with pytest.raises(BackupError, match="has the format 2"):
        restored(new, tmp_path / "monday")


@pytest.mark.parametrize("file", ["billing.dump", manifest.DEFINITIONS])
def test_a_damaged_file_is_refused_before_anything_is_touched(
    old: Databases, new: Databases, tmp_path: Path, file: str
) -> None:
    source = tmp_path / "monday"
    work.back_up(old, source)
    content = bytearray((source / file).read_bytes())
    content[len(content) // 2] ^= 1
    (source / file).write_bytes(content)
    with pytest.raises(BackupError, match=f"{file} is damaged: its SHA-256"):
        restored(new, source)
    (source / file).write_bytes(content[:-1])
    with pytest.raises(BackupError, match=f"{file} is damaged: it has .* bytes"):
        restored(new, source)
    (source / file).unlink()
    with pytest.raises(BackupError, match="can't be read: no such file"):
        restored(new, source)
    assert new.stops == 0


def test_a_directory_without_a_whole_manifest_is_no_backup(new: Databases, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no such directory"):
        restored(new, tmp_path / "monday")
    with pytest.raises(BackupError, match=r"is no backup: manifest.json can't be read"):
        restored(new, tmp_path)
    (tmp_path / manifest.FILE).write_text('{"format": 1')
    with pytest.raises(BackupError, match="is damaged"):
        restored(new, tmp_path)


def test_a_failing_restore_leaves_every_database_as_it_was(old: Databases, tmp_path: Path) -> None:
    source = tmp_path / "monday"
    work.back_up(old, source)
    old.run("inventory", "UPDATE movies SET title = 'Tron'")
    dump = source / "billing.dump"
    dump.write_bytes(dump.read_bytes()[:-500])
    damaged = manifest.contents(dump).model_dump()
    rewrite(source, databases=of_billing(source, **damaged))
    with pytest.raises(BackupError, match=r"billing: billing_old.* was not restored"):
        restored(old, source, replace=True)
    # inventory is loaded first, and is not committed either
    assert old.run("inventory", "SELECT title FROM movies") == "Tron"
    assert old.run("billing", "SELECT message_id FROM orders") == "m1"


def test_a_failure_after_the_restore_comes_behind_what_was_restored(
    old: Databases, new: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise BackupError("The cache was not emptied.")

    source = tmp_path / "monday"
    work.back_up(old, source)
    monkeypatch.setattr(new, "flush_cache", fail)
    said: list[str] = []
    with pytest.raises(BackupError, match="The cache was not emptied"):
        work.restore(new, source, (), False, said.append)
    assert new.run("billing", "SELECT message_id FROM orders") == "m1"
    assert said[0].startswith("Restored the backup of ")


@pytest.mark.parametrize("mode", ["ACCESS SHARE", "ACCESS EXCLUSIVE"])
def test_a_session_that_holds_a_table_ends_a_restore(
    old: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 1)
    work.back_up(old, tmp_path / "monday")
    with postgres.connected(old.database("billing")) as connection:
        connection.execute(text(f"LOCK TABLE orders IN {mode} MODE"))
        with pytest.raises(BackupError, match="canceling statement due to lock timeout"):
            restored(old, tmp_path / "monday", replace=True)
    assert old.run("billing", "SELECT message_id FROM orders") == "m1"


def test_a_backup_that_does_not_fit_leaves_nothing(old: Databases, tmp_path: Path) -> None:
    old.run(
        "billing", "CREATE TABLE large AS SELECT gen_random_uuid() FROM generate_series(1, 1e4)"
    )
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(BackupError, match="was not dumped: "):
            work.back_up(old, tmp_path / "monday")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_needs_a_new_directory(old: Databases, tmp_path: Path) -> None:
    (tmp_path / "monday").mkdir()
    work.back_up(old, tmp_path / "monday")
    with pytest.raises(BackupError, match="exists already: name a new directory"):
        work.back_up(old, tmp_path / "monday")
    (tmp_path / "file").touch()
    with pytest.raises(BackupError, match="exists already"):
        work.back_up(old, tmp_path / "file")
    with pytest.raises(BackupError, match="can't be made: "):
        work.back_up(old, tmp_path / "file" / "monday")


def test_a_service_that_is_not_there_is_named(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    work.back_up(old, tmp_path / "monday")
    with pytest.raises(BackupError, match="has no orders; it has inventory, billing"):
        restored(new, tmp_path / "monday", "orders")
    new.services = ("orders",)
    with pytest.raises(BackupError, match="has inventory, billing, and this machine has orders"):
        restored(new, tmp_path / "monday")


def test_a_stopped_database_is_named(old: Databases, tmp_path: Path) -> None:
    old.server.stop()
    try:
        with pytest.raises(BackupError, match="inventory: the database does not answer at"):
            work.back_up(old, tmp_path / "monday")
    finally:
        old.server.start()
    assert list(tmp_path.iterdir()) == []


def test_a_backup_shows_one_moment_of_each_database(
    old: Databases, new: Databases, tmp_path: Path
) -> None:
    """Rows that come while the dump runs are not part of it."""
    settings = old.database("billing")
    with postgres.connected(settings) as connection:
        taken = postgres.snapshot(connection)
        old.run("billing", BILL.replace("m1", "m2"))
        with (tmp_path / "dump").open("wb") as file:
            postgres.dump(settings, taken, file)
    with closing(postgres.Restoration(new.database("billing"), tmp_path / "dump")) as restoration:
        restoration.load()
        restoration.commit()
    assert new.run("billing", "SELECT string_agg(message_id, ',') FROM orders") == "m1"
