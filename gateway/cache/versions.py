"""The versions of what is cached, in memory that all processes of the machine share.

A stored answer is found under the versions that held before it was read. A change gives its
resources new versions, so nothing that was stored, or is still being read, is found any more. This
needs no Redis, so a failing Redis loses no invalidation. A version is a random number: processes
write it without a lock, and no old one comes back.

While a write is in flight, its resources are closed: nothing about them is shown or stored. If its
process dies, or its outcome is unknown, they stay closed for `CLOSED_SECONDS`, and then get new
versions.

The memory is a file below STATE_DIR. Its name has the boot's id, since it holds times of the
monotonic clock.
"""

import mmap
import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

SLOTS = 1 << 14  # of a kind; resources that share a slot are invalidated together
KINDS = 2
CLOSED_SECONDS = 30.0  # more than any call to inventory-api takes
FOLLOWED_SECONDS = 3.0
_EPOCH, _FOLLOWED, _FIRST = (
    0,
    1,
    2,
)  # words of the file; then two words a slot: version, closed until
_UNKNOWN = 1  # the lowest bit of a time: closed by a write of unknown outcome
_WORD_BYTES = 8
_WORDS = _FIRST + KINDS * SLOTS * 2
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Slots:
    """Numbers of slots: each kind has one for all of it, one for its lists, others for items."""

    def __init__(self, kind: int) -> None:
        base = _FIRST + kind * SLOTS * 2
        self.everything = base
        self.lists = base + 2
        self._items = base + 4

    def item(self, id: int) -> int:
        """Return the slot of an item, which it may share with others."""
        return self._items + id % (SLOTS - 2) * 2


class Versions:
    """The versions of this machine. Without `prepare` there are none, and nothing is cached."""

    def __init__(self, directory: Path) -> None:
        self._path = _path(directory)
        self._lock = threading.Lock()
        self._inode: int | None = None
        self._words: memoryview | None = None
        self._attach()

    def current(self, slots: Iterable[int]) -> bytes | None:
        """Return the versions of slots; None while nothing about them may be shown or stored."""
        words, now = self._words, time.monotonic_ns()
        if words is None or words[_FOLLOWED] < now:
            # those who follow may have another file now
            words = self._attach()
        if words is None or words[_FOLLOWED] < now:
            return None
        found = [words[_EPOCH]]
        for slot in slots:
            if until := words[slot + 1]:
                if until > now:
                    return None
                self._expire(words, slot, until)
            found.append(words[slot])
        return struct.pack(f"{len(found)}Q", *found)

    def close(self, slots: Iterable[int]) -> int:
        """Close slots before a write; return the mark for `reopen`.

        What a write of unknown outcome keeps closed stays so, whatever becomes of this one.
        """
        now = time.monotonic_ns()
        until = (now + int(CLOSED_SECONDS * 1e9)) & ~_UNKNOWN
        if words := self._attach():
            for slot in slots:
                earlier = words[slot + 1]
                if not (earlier & _UNKNOWN and earlier > now):
                    words[slot + 1] = until
        return until

    def keep_closed(self, slots: Iterable[int]) -> None:
        """Close slots behind a write whose outcome is unknown: no other write opens them."""
        until = (time.monotonic_ns() + int(CLOSED_SECONDS * 1e9)) | _UNKNOWN
        if words := self._attach():
            for slot in slots:
                words[slot + 1] = until

    def reopen(self, slots: Iterable[int], mark: int) -> None:
        """Open slots after a write, except for those that a later write has closed."""
        if words := self._attach():
            for slot in slots:
                if words[slot + 1] == mark:
                    words[slot + 1] = 0

    def change(self, slots: Iterable[int]) -> None:
        """Give slots new versions: what they stand for has changed."""
        if words := self._attach():
            for slot in slots:
                words[slot] = _random()

    def change_all(self) -> None:
        """Invalidate all that is cached."""
        if words := self._attach():
            words[_EPOCH] = _random()

    def follow(self) -> None:
        """Note that changes by others are followed, for the next `FOLLOWED_SECONDS`.

        After a gap everything is invalidated, as a change may have been missed.
        """
        now = time.monotonic_ns()
        if words := self._attach():
            if words[_FOLLOWED] < now:
                words[_EPOCH] = _random()
            words[_FOLLOWED] = now + int(FOLLOWED_SECONDS * 1e9)

    def unfollow(self) -> None:
        """Note that changes by others are not followed, so nothing may be shown."""
        if words := self._attach():
            words[_FOLLOWED] = 0

    def is_followed(self) -> bool:
        """Return whether changes by others are followed."""
        words = self._words
        return words is not None and words[_FOLLOWED] >= time.monotonic_ns()

    def _expire(self, words: memoryview, slot: int, until: int) -> None:
        """End the closing of a write whose outcome is unknown."""
        words[slot] = _random()
        if words[slot + 1] == until:
            words[slot + 1] = 0

    def _attach(self) -> memoryview | None:
        """Map the file, again if another has its place; return its words, None without a file.

        A process that held on to a removed file would invalidate nothing of what others show.
        """
        try:
            inode = os.stat(self._path).st_ino
        except FileNotFoundError:
            return self._words
        with self._lock:
            if self._words is None or inode != self._inode:
                self._words, self._inode = _mapped(self._path)
            return self._words


def prepare(directory: Path) -> None:
    """Make the file unless it exists, and remove those of earlier boots.

    Raises:
        OSError: it can't be made, or the disk is full.
    """
    path = _path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for earlier in directory.glob("*.versions"):
        if earlier != path:
            earlier.unlink(missing_ok=True)
    if not path.exists():
        _create(path)


def _create(path: Path) -> None:
    """Make the file, whole from its first moment on, unless another process is faster."""
    with tempfile.NamedTemporaryFile(dir=path.parent) as new:
        # with all of its blocks, since a full disk would otherwise end whoever writes
        os.posix_fallocate(new.fileno(), 0, _WORDS * _WORD_BYTES)
        os.pwrite(new.fileno(), struct.pack("Q", _random()), _EPOCH)
        try:
            os.link(new.name, path)
        except FileExistsError:
            return


def _path(directory: Path) -> Path:
    return directory / f"{_BOOT_ID.read_text().strip()}.versions"


def _mapped(path: Path) -> tuple[memoryview, int]:
    with path.open("r+b") as file:
        words = mmap.mmap(file.fileno(), _WORDS * _WORD_BYTES)
        return memoryview(words).cast("Q"), os.fstat(file.fileno()).st_ino


def _random() -> int:
    return int.from_bytes(os.urandom(_WORD_BYTES), "little")
