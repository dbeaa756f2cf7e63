"""The directory of a backup: it appears when it is complete, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from chassis.backup.errors import BackupError


def named(written: str) -> Path:
    """Return the path that a person has written; a relative one starts from `CALLED_FROM`."""
    return Path(os.environ.get("CALLED_FROM", "."), written)


@contextmanager
def made(target: Path) -> Iterator[Path]:
    """Lend a new directory, for its owner only, that takes the name `target` after the block.

    If the block fails, nothing of it is left. If the machine fails, a directory
    `.NAME.incomplete-*` may be left, which has no manifest or is complete.

    Raises BackupError: `target` has files already, or the disk refuses.
    """
    check_free(target)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{target.name}.incomplete-", dir=target.parent))
    except OSError as error:
        raise BackupError(f"{target} can't be made: {reason(error)}.") from None
    try:
        yield new
        _sync(new)
        new.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise BackupError(f"{target} can't be written: {reason(error)}.") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)


def check_free(target: Path) -> None:
    """Raise BackupError unless `target` is missing or an empty directory."""
    try:
        taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    except OSError as error:
        raise BackupError(f"{target} can't be read: {reason(error)}.") from None
    if taken:
        raise BackupError(f"{target} exists already: name a new directory.")


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for its owner only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        yield opened


def reason(error: OSError) -> str:
    """Return what the system says, as a part of a sentence."""
    return (error.strerror or str(error)).lower()


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
