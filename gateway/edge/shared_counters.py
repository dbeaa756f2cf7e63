"""Counters of requests that the gateway's worker processes share, in a memory-mapped file.

Each worker counts in a lane of its own, so that none waits for another, and adds up all lanes. A
lane is a table of fixed size in which a key has two places (a count-min sketch): where two keys
meet in one place, the other place tells. Each number holds the end of its window and its count, so
that one write changes both.

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

PLACES = 1 << 15  # of a lane; a quarter of a megabyte
_WORD = 8  # bytes: the end of the window in seconds since 1970, 32 bits, and the count, 32 bits
_MOST = (1 << 32) - 1


def prepare(path: Path, workers: int) -> None:
    """Make the file anew, before the workers start; its blocks are taken from the disk now.

    There are lanes for twice the workers, as there are during a deployment.

    Raises:
        OSError: it can't be made, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, 2 * workers * PLACES * _WORD)
    finally:
        os.close(descriptor)


class SharedCounters(Storage):
    """Counts per key and window; windows begin at multiples of their length."""

    STORAGE_SCHEME = None

    def __init__(self, path: Path | None) -> None:
        """Take a lane of the file; without a file, count for this process alone.

        Raises:
            OSError: the file is missing or cut off, or all of its lanes are taken.
        """
        super().__init__()
        self._lock = threading.Lock()
        words, lanes, own = (_mapped(-1, 1), 1, 0) if path is None else _open_lane(path)
        self._words = memoryview(words).cast("Q")
        self._lanes = range(0, lanes * PLACES, PLACES)
        self._own = own * PLACES

    @property
    def base_exceptions(self) -> type[Exception]:
        """What a failing storage raises."""
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` in the current window of `expiry` seconds; return the window's count."""
        end = window_end(expiry)
        places = _places(key)
        with self._lock:
            for place in places:
                word = self._words[self._own + place]
                count = (word & _MOST) if word >> 32 == end else 0
                self._words[self._own + place] = end << 32 | min(count + amount, _MOST)
        return self._count(places, end)

    def get(self, key: str) -> int:
        """Return the count in the key's window; 0 if that is over."""
        end = self._end(key)
        return self._count(_places(key), end) if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """Return when the key's window ends, in seconds since 1970; now if there is none."""
        return max(float(self._end(key)), time.time())

    def check(self) -> bool:
        """Tell that it works: what is mapped can be read and written."""
        return True

    def reset(self) -> int | None:
        """Forget everything."""
        for lane in self._lanes:
            self._forget(lane, range(PLACES))
        return None

    def clear(self, key: str) -> None:
        """Forget a key."""
        for lane in self._lanes:
            self._forget(lane, _places(key))

    def _end(self, key: str) -> int:
        return min(
            max(self._words[lane + place] >> 32 for lane in self._lanes) for place in _places(key)
        )

    def _count(self, places: tuple[int, int], end: int) -> int:
        return min(
            sum(
                word & _MOST
                for lane in self._lanes
                if (word := self._words[lane + place]) >> 32 == end
            )
            for place in places
        )

    def _forget(self, lane: int, places: Iterable[int]) -> None:
        with self._lock:
            for place in places:
                self._words[lane + place] = 0


def window_end(seconds: int) -> int:
    """Return when the current window of so many seconds ends, in seconds since 1970."""
    return (int(time.time()) // seconds + 1) * seconds


def _places(key: str) -> tuple[int, int]:
    digest = blake2b(key.encode(), digest_size=4).digest()
    number = int.from_bytes(digest, "big")
    return number % PLACES, number // PLACES % PLACES


def _open_lane(path: Path) -> tuple[mmap.mmap, int, int]:
    """Open the file, which stays open with the lane's lock; return its map, all lanes, our own.

    If any of this fails, the file is closed, and so the lane is free again.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        lanes, own = _take_lane(descriptor)
        return _mapped(descriptor, lanes), lanes, own
    except BaseException:
        os.close(descriptor)
        raise


def _mapped(descriptor: int, lanes: int) -> mmap.mmap:
    """Map so many lanes of a file; without a file (-1), of memory.

    Raises:
        OSError: there is no memory, or the file has been cut off meanwhile.
    """
    try:
        return mmap.mmap(descriptor, lanes * PLACES * _WORD)
    except ValueError as error:
        raise OSError(f"it can't be mapped: {error}") from error


def _take_lane(descriptor: int) -> tuple[int, int]:
    """Lock the first lane that no living process has; return how many there are, and which it is.

    What its last owner has counted stays: a deployment or a crash resets no limit.
    """
    lanes = os.fstat(descriptor).st_size // (PLACES * _WORD)
    for lane in range(lanes):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, lane)
            return lanes, lane
        except BlockingIOError:
            continue
    raise OSError(f"none of its {lanes} lanes is free")
