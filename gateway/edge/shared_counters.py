"""Request counters that the gateway's worker processes share, in a memory-mapped file.

Each worker counts in a lane of its own, so that none waits for another; a count is the sum of all
lanes. A lane is a table of fixed size in which a key has two slots (a count-min sketch): where two
keys collide in one slot, the other slot has the right count. Each word holds the end of its window
and its count, so that one write changes both.

Own code: each storage of `limits` that processes share needs a server, such as Redis.
Source of the interface: `limits`, "Custom storage backends".
"""

import fcntl
import mmap
import os
import threading
import time
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from limits.storage import Storage

SLOTS = 1 << 15  # of a lane; a quarter of a megabyte
_WORD_BYTES = 8  # 32 bits: the end of the window in seconds since 1970; 32 bits: the count
_MAX_COUNT = (1 << 32) - 1


def prepare(path: Path, workers: int) -> None:
    """Create the file anew, before the workers start, with all of its blocks allocated.

    It has lanes for twice the workers: during a deployment old and new ones run together.

    Raises:
        OSError: the file can't be created, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, 2 * workers * SLOTS * _WORD_BYTES)
    finally:
        os.close(descriptor)


class SharedCounters(Storage):
    """Counts per key and window; windows begin at multiples of their length."""

    STORAGE_SCHEME = None

    def __init__(self, path: Path | None) -> None:
        """Take a lane of the file; without a file, count for this process alone.

        Raises:
            OSError: the file is missing or truncated, or all of its lanes are taken.
        """
        super().__init__()
        self._lock = threading.Lock()
        words, lanes, own = (_mapped(-1, 1), 1, 0) if path is None else _open_lane(path)
        self._words = memoryview(words).cast("Q")
        self._lanes = range(0, lanes * SLOTS, SLOTS)
        self._own = own * SLOTS

    @property
    def base_exceptions(self) -> type[Exception]:
        """The exception that a failing storage raises."""
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` in the current window of `expiry` seconds; return the window's count."""
        end = window_end(expiry)
        slots = _slots(key)
        with self._lock:
            for slot in slots:
                word = self._words[self._own + slot]
                count = (word & _MAX_COUNT) if word >> 32 == end else 0
                self._words[self._own + slot] = end << 32 | min(count + amount, _MAX_COUNT)
        return self._count(slots, end)

    def get(self, key: str) -> int:
        """Return the count in the key's window; 0 if the window has ended."""
        end = self._end(key)
        return self._count(_slots(key), end) if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """Return when the key's window ends, in seconds since 1970; now if there is none."""
        return max(float(self._end(key)), time.time())

    def check(self) -> bool:
        """Return True: mapped memory can always be read and written."""
        return True

    def reset(self) -> int | None:
        """Set all counts to 0."""
        for lane in self._lanes:
            self._zero(lane, range(SLOTS))
        return None

    def clear(self, key: str) -> None:
        """Set the count of a key to 0."""
        for lane in self._lanes:
            self._zero(lane, _slots(key))

    def _end(self, key: str) -> int:
        return min(
            max(self._words[lane + slot] >> 32 for lane in self._lanes) for slot in _slots(key)
        )

    def _count(self, slots: tuple[int, int], end: int) -> int:
        return min(
            sum(
                word & _MAX_COUNT
                for lane in self._lanes
                if (word := self._words[lane + slot]) >> 32 == end
            )
            for slot in slots
        )

    def _zero(self, lane: int, slots: Iterable[int]) -> None:
        with self._lock:
            for slot in slots:
                self._words[lane + slot] = 0


def window_end(seconds: int) -> int:
    """Return when the current window of `seconds` ends, in seconds since 1970."""
    return (int(time.time()) // seconds + 1) * seconds


def _slots(key: str) -> tuple[int, int]:
    digest = blake2b(key.encode(), digest_size=4).digest()
    number = int.from_bytes(digest, "big")
    return number % SLOTS, number // SLOTS % SLOTS


def _open_lane(path: Path) -> tuple[mmap.mmap, int, int]:
    """Open the file and lock a lane; return the map, the number of lanes, and our lane.

    The file stays open, since closing it frees the lane. If anything fails, it is closed.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        lanes, own = _take_lane(descriptor)
        return _mapped(descriptor, lanes), lanes, own
    except BaseException:
        os.close(descriptor)
        raise


def _mapped(descriptor: int, lanes: int) -> mmap.mmap:
    """Map `lanes` lanes of a file; without a file (-1), of anonymous memory.

    Raises:
        OSError: there is no memory, or the file has been truncated meanwhile.
    """
    try:
        return mmap.mmap(descriptor, lanes * SLOTS * _WORD_BYTES)
    except ValueError as error:
        raise OSError(f"it can't be mapped: {error}") from error


def _take_lane(descriptor: int) -> tuple[int, int]:
    """Lock the first lane that no running process has; return the number of lanes, and its index.

    The counts of its last owner stay: neither a deployment nor a crash resets a limit.
    """
    lanes = os.fstat(descriptor).st_size // (SLOTS * _WORD_BYTES)
    for lane in range(lanes):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, lane)
            return lanes, lane
        except BlockingIOError:
            continue
    raise OSError(f"none of its {lanes} lanes is free")
