"""Makes a backup of a platform, and restores one.

Each database is dumped from one snapshot. The snapshots of a platform's databases are taken right
after each other, before the first dump begins; they are not one snapshot.

A restore checks all that it can before it changes anything. It then loads every database in a
transaction of its own, and commits them right after each other, once all of them are loaded.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path

from sqlalchemy.exc import OperationalError

from chassis import VERSION
from chassis.backup import definitions, directory, manifest, postgres
from chassis.backup.errors import BackupError
from chassis.backup.manifest import DatabaseBackup, Manifest
from chassis.backup.platform import Broker, Platform
from chassis.cli import database_failure
from chassis.durations import duration
from chassis.storage import migrations
from chassis.topology_file import read_topology

Say = Callable[[str], None]


def back_up(platform: Platform, target: Path) -> Manifest:
    """Make a backup of all that a platform has; `target` must be new. Raises BackupError."""
    made_at = datetime.now(timezone.utc)
    directory.check_free(target)
    # before the dumps, which may take long: a stopped RabbitMQ is noticed at once
    exported = _exported(platform.broker())
    with directory.made(target) as new:
        databases = _dump(platform, new)
        stored = None
        if exported is not None:
            with directory.new_file(new / manifest.DEFINITIONS) as file:
                file.write(exported)
            stored = manifest.contents(new / manifest.DEFINITIONS)
        made = Manifest(version=VERSION, made_at=made_at, databases=databases, definitions=stored)
        with directory.new_file(new / manifest.FILE) as file:
            file.write(made.model_dump_json(indent=2).encode() + b"\n")
        manifest.contents(new / manifest.FILE)
    return made


def _exported(broker: Broker | None) -> bytes | None:
    if broker is None:
        return None
    return definitions.kept(broker.control("export_definitions", "-"), broker.vhost)


def _dump(platform: Platform, new: Path) -> dict[str, DatabaseBackup]:
    databases = {service: platform.database(service) for service in platform.services}
    with ExitStack() as opened:
        connections = {}
        for service, settings in databases.items():
            with _explained(service):
                connections[service] = opened.enter_context(postgres.connected(settings))
        snapshots = {}
        for service, connection in connections.items():
            with _explained(service):
                snapshots[service] = postgres.snapshot(connection)
        dumped = {}
        for service, taken in snapshots.items():
            path = new / manifest.dump(service)
            with _explained(service), directory.new_file(path) as file:
                postgres.dump(databases[service], taken, file, platform.account)
            dumped[service] = DatabaseBackup(
                **manifest.contents(path).model_dump(),
                database=databases[service].name,
                revision=taken.revision,
                postgresql=taken.postgresql,
                taken_at=taken.taken_at,
            )
    return dumped


@contextmanager
def _explained(service: str) -> Iterator[None]:
    """Say of whose database a failure is."""
    try:
        yield
    except OperationalError as error:
        raise BackupError(f"{service}: {database_failure(error)}") from None
    except BackupError as error:
        raise BackupError(f"{service}: {error}") from None


def restore(
    platform: Platform, source: Path, only: Sequence[str], replace: bool, say: Say
) -> Manifest:
    """Restore a backup, or some services of it.

    Args:
        platform: whose databases are replaced.
        source: the backup.
        only: the services to restore; none for all that are both in the backup and here.
        replace: whether rows that are there already are replaced.
        say: gets sentences about what is done.

    Raises:
        BackupError: nothing was changed, unless it says otherwise.
    """
    return _Restore(platform, source, only, replace, say).run()


class _Restore:
    def __init__(
        self, platform: Platform, source: Path, only: Sequence[str], replace: bool, say: Say
    ) -> None:
        self._platform = platform
        self._source = source
        self._replace = replace
        self._say = say
        self._manifest = manifest.read(source)
        self._services = self._chosen(only)

    def run(self) -> Manifest:
        broker = self._broker()
        self._check_files(broker)
        for service in self._services:
            self._check_revision(service)
        self._check_databases(self._say)
        if broker is not None:
            self._define(broker)
        with self._platform.stopped(self._services):
            # until now somebody may have written
            self._check_databases()
            self._load()
            # before what may fail now
            self._tell_restored()
            said = [self._finished(service) for service in self._services]
            self._platform.flush_cache()
        self._tell_what_follows(said)
        return self._manifest

    def _chosen(self, only: Sequence[str]) -> list[str]:
        there, here = self._manifest.databases, self._platform.services
        for service in only:
            if service not in there:
                raise BackupError(f"{self._source} has no {service}; it has {', '.join(there)}.")
            if service not in here:
                raise BackupError(f"{service} is not on this machine, which has {', '.join(here)}.")
        chosen = [service for service in here if service in (only or there)]
        if not chosen:
            names = f"{', '.join(there)}, and this machine has {', '.join(here)}"
            raise BackupError(f"{self._source} has {names}.")
        return chosen

    def _broker(self) -> Broker | None:
        """RabbitMQ, if its definitions are to be restored."""
        broker = self._platform.broker() if self._manifest.definitions else None
        return broker if broker and broker.service in self._services else None

    def _check_files(self, broker: Broker | None) -> None:
        names = {manifest.dump(service) for service in self._services}
        names |= {manifest.DEFINITIONS} if broker else set()
        files = self._manifest.files()
        manifest.check(self._source, {name: files[name] for name in sorted(names)})

    def _check_revision(self, service: str) -> None:
        stored = self._manifest.databases[service].revision
        if stored not in (known := migrations.revisions(service)):
            raise BackupError(
                f"The backup of {service} is of a newer release: its tables have the revision "
                f"{stored}, and this release knows them up to {known[0]}. Install the release "
                f"{self._manifest.version} or a later one, then restore."
            )

    def _check_databases(self, say: Say | None = None) -> None:
        """Refuse what the databases can't take; `say` is told what is replaced."""
        occupied = {}
        for service in self._services:
            settings = self._platform.database(service)
            with _explained(service), postgres.connected(settings) as connection:
                self._check_version(service, postgres.version(connection))
                if counted := postgres.rows(connection):
                    shown = ", ".join(f"{table} {_count(n)}" for table, n in counted.items())
                    occupied[service] = f"{settings.name} (rows: {shown})"
        if occupied and not self._replace:
            raise BackupError(
                f"There are data already, and nothing was changed: {'; '.join(occupied.values())}. "
                "Restore into an empty platform, or replace them by --replace."
            )
        if say is not None:
            for words in occupied.values():
                say(f"Replacing what is in {words}.")

    def _check_version(self, service: str, here: int) -> None:
        stored = self._manifest.databases[service].postgresql
        if stored > here:
            raise BackupError(
                f"The backup is of PostgreSQL {stored}, and this is PostgreSQL {here}, which may "
                f"not read it: restore it where PostgreSQL {stored} or a later one is."
            )

    def _define(self, broker: Broker) -> None:
        """Add what the backup has; what this release defines itself prevails."""
        stored = (self._source / manifest.DEFINITIONS).read_bytes()
        text = definitions.placed(stored, broker.vhost)
        broker.control("import_definitions", text=text)
        broker.control("import_definitions", broker.own_definitions)

    def _load(self) -> None:
        with ExitStack() as opened:
            loaded = {}
            for service in self._services:
                file = self._source / manifest.dump(service)
                settings, account = self._platform.database(service), self._platform.account
                restoration = postgres.Restoration(settings, file, account)
                opened.callback(restoration.close)
                loaded[service] = restoration
                with _explained(service):
                    restoration.load()
            committed: list[str] = []
            for service, restoration in loaded.items():
                try:
                    with _explained(service):
                        restoration.commit()
                except BackupError as error:
                    raise BackupError(f"{error}{_already(committed)}") from None
                committed.append(service)

    def _finished(self, service: str) -> str:
        """Migrate, and hear what follows. The data are restored by now, and have to be used."""
        try:
            return self._platform.finish(service).strip()
        except BackupError as error:
            raise BackupError(
                f"The data are restored, and {error} Restore again with --replace once that works."
            ) from None

    def _tell_restored(self) -> None:
        restored = self._manifest
        self._say(
            f"Restored the backup of {_time(restored.made_at)}, by version {restored.version}:"
        )
        now = datetime.now(timezone.utc)
        for service in self._services:
            one = restored.databases[service]
            age = f"{_time(one.taken_at)}, {duration((now - one.taken_at).total_seconds())} ago"
            self._say(f"  {service:<10} {one.database:<14} as of {age}")
        self._say("What these databases recorded after these times is lost.")

    def _tell_what_follows(self, said: Sequence[str]) -> None:
        for words in filter(None, said):
            self._say(words)
        if len(self._services) < len(read_topology().services):
            self._say("docs/backup.md says what this means for the other services.")


def _already(committed: Sequence[str]) -> str:
    if not committed:
        return ""
    return f" These are restored already: {', '.join(committed)}. Restore again with --replace."


def _count(number: int) -> str:
    return f"{number} or more" if number == postgres.MOST_COUNTED else str(number)


def _time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def name_of(moment: datetime) -> str:
    """Return the name of a backup's directory that nobody has named."""
    return moment.strftime("%Y-%m-%dT%H-%M-%SZ")


def told(made: Manifest, target: Path) -> str:
    """Return what there is to say of a new backup."""
    size = sum(part.size for part in made.files().values())
    what = ", ".join([*made.databases, *(["RabbitMQ's definitions"] if made.definitions else [])])
    return (
        f"{target}: {what}; {size / 1e6:.1f} MB. It holds personal data, so only its owner can "
        "read it; keep it on another machine."
    )
