"""The manifest of a backup: what is in it, from when, and how to tell that it is unchanged.

It is written last. It holds no secret: neither users nor passwords nor addresses.
"""

import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis.backup.errors import BackupError

FORMAT = 1
FILE = "manifest.json"
DEFINITIONS = "rabbitmq-definitions.json"
_BLOCK = 1 << 20


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Format(_Part):
    """What a manifest of any format says."""

    format: int


class Contents(_Part):
    """A file of the backup: its size in bytes, and its SHA-256 in hexadecimal digits."""

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class DatabaseBackup(Contents):
    """The dump of one database.

    Attributes:
        database: its name.
        revision: its newest migration.
        postgresql: the major version of its server.
        taken_at: when its snapshot was taken, by the clock of its server.
    """

    database: str
    revision: str
    postgresql: int
    taken_at: datetime


class Manifest(_Part):
    """What a backup consists of.

    Attributes:
        format: of the backup.
        version: of the platform that made it.
        made_at: when the backup began.
        databases: the dumps by service.
        definitions: RabbitMQ's definitions, if they are part of it.
    """

    format: int = FORMAT
    version: str
    made_at: datetime
    databases: Mapping[str, DatabaseBackup]
    definitions: Contents | None = None

    def files(self) -> dict[str, Contents]:
        """Return the contents of the files by their names."""
        found: dict[str, Contents] = {dump(name): part for name, part in self.databases.items()}
        return found | ({DEFINITIONS: self.definitions} if self.definitions else {})


def dump(service: str) -> str:
    """Return the name of the file with a service's database."""
    return f"{service}.dump"


def contents(file: Path) -> Contents:
    """Return the size and the digest of a file, and have the disk hold all of it."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
            size += len(block)
        os.fsync(opened.fileno())
    return Contents(size=size, sha256=digest.hexdigest())


def read(directory: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises BackupError: the directory holds no whole backup, or one of a later format.
    """
    try:
        text = (directory / FILE).read_bytes()
    except OSError as error:
        detail = "no such directory" if not directory.exists() else (error.strerror or "").lower()
        raise BackupError(f"{directory} is no backup: {FILE} can't be read ({detail}).") from None
    try:
        known = _Format.model_validate_json(text).format
        if known != FORMAT:
            raise BackupError(
                f"{directory} has the format {known} of a backup, and this release reads {FORMAT}: "
                "restore it with the release that made it."
            )
        return Manifest.model_validate_json(text)
    except ValidationError:
        raise BackupError(f"{directory} is no backup: {FILE} is damaged.") from None


def check(directory: Path, files: Mapping[str, Contents]) -> None:
    """Check files against the manifest. Raises BackupError naming the first that differs."""
    for name, expected in files.items():
        try:
            found = contents(directory / name)
        except OSError as error:
            detail = (error.strerror or "").lower()
            raise BackupError(f"{directory / name} can't be read: {detail}.") from None
        if found.size != expected.size:
            sizes = f"{found.size} bytes, and the manifest says {expected.size}"
            raise BackupError(f"{directory / name} is damaged: it has {sizes}.")
        if found.sha256 != expected.sha256:
            raise BackupError(f"{directory / name} is damaged: its SHA-256 is not the manifest's.")
