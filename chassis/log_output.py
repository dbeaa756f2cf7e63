"""Log output in batches that never blocks, even if nobody reads it.

Each write wakes the reader, PM2. So time is divided into periods of `BATCH_SECONDS`. The first line
of a period is written at once; later ones wait for its end, and a thread writes all of them
together. The thread sleeps while no line waits. The periods are those of the machine's clock, so
that all processes write at the same time, and the reader wakes once for all of them.

A pipe that nobody reads takes about 200 kB and then blocks the writer. Here lines without room
wait in memory, in order, and the thread writes them when there is room.

It needs the standard library only: granian's master runs it too (chassis/http/granian_master.py).
"""

import io
import json
import os
import queue
import select
import socket
import stat
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone

LIMIT_BYTES = 1024 * 1024
BATCH_SECONDS = 0.05
"""How long a line waits at most; a process killed by SIGKILL loses the lines that wait."""
# so much is written entirely or not at all, so that lines of other processes are not mixed in: into
# a pipe by pipe(7), into a socket by Linux' net/unix/af_unix.c, where it is a single buffer
_PIPE_BATCH = select.PIPE_BUF
_BATCH = 32 * 1024
_AT_ONCE = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class Output(io.TextIOBase):
    """A stream on a copy of a file descriptor; lines beyond the limit are dropped and counted.

    Only sockets and pipes can be full; files and terminals are written as usual. After a fork the
    child has none of the waiting lines: its parent writes them.
    """

    def __init__(
        self,
        descriptor: int,
        process: str,
        on_drop: Callable[[], object] = lambda: None,
        limit: int = LIMIT_BYTES,
    ) -> None:
        """Write to `descriptor`.

        Args:
            descriptor: a file descriptor that is open for writing.
            process: the name in the line that reports dropped lines.
            on_drop: called for each dropped line.
            limit: the most bytes of waiting lines.
        """
        self._file = _open(descriptor)
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        self._batch_bytes = _PIPE_BATCH if is_pipe else _BATCH
        self._process = process
        self._on_drop = on_drop
        self._limit = limit
        self._pause = BATCH_SECONDS
        self._reset()
        _outputs.add(self)

    def write(self, text: str) -> int:
        """Write lines, or keep them until they can be written."""
        self.put(text.encode(errors="backslashreplace"))
        return len(text)

    def put(self, line: bytes, *, at_once: bool = False) -> None:
        """Write a line with the next batch, or `at_once` with all that wait."""
        with self._lock:
            self._keep(line)
            # a signal handler's line, or one without room, is written by what is in progress
            if self._is_writing or self._is_full:
                return
            if (
                at_once
                or self._bytes_waiting >= self._batch_bytes
                or time.monotonic() >= self._next_write_at
            ):
                self._write_waiting()
            else:
                self._write_later()

    def flush(self) -> None:
        """Write waiting lines as far as there is room."""
        if not self.closed:
            self._write_waiting()

    def drain(self, seconds: float) -> None:
        """Write waiting lines for `seconds` at most, and later lines at once: the process ends."""
        self._pause = self._next_write_at = 0.0
        deadline = time.monotonic() + seconds
        while self._write_waiting() and (left := deadline - time.monotonic()) > 0:
            self._wait_for_room(left)

    def fileno(self) -> int:
        """Return the copy's descriptor."""
        return self._file.fileno()

    def writable(self) -> bool:
        """Return true."""
        return True

    def close(self) -> None:
        """Close the copy, unless lines wait for it."""
        if not self.closed and not self._write_waiting():
            self._file.close()
        super().close()

    def _reset(self) -> None:
        # reentrant: a signal handler may log while the same thread writes a line
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._bytes_waiting = 0
        self._dropped = 0
        self._next_write_at = 0.0
        self._is_writing = self._is_full = self._is_due = False
        # reentrant as well
        self._due: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def _write_some(self, data: bytes, lines: int) -> int:
        """Write without blocking; return how many bytes were written."""
        try:
            if isinstance(self._file, socket.socket):
                return self._file.send(data, _AT_ONCE)
            return self._file.write(data) or 0
        except BlockingIOError:
            return 0
        except OSError:
            # nobody will ever read them
            for _ in range(lines):
                self._on_drop()
            return len(data)

    def _keep(self, line: bytes) -> None:
        # after a drop, drop until half the limit is free, and report all drops in one line
        limit = self._limit // 2 if self._dropped else self._limit
        if self._waiting and self._bytes_waiting + len(line) > limit:
            self._dropped += 1
            self._on_drop()
            return
        self._note_dropped()
        self._append(line)

    def _append(self, line: bytes) -> None:
        # measured first: a call amid the addition could let a signal handler add, too
        size = len(line)
        self._waiting.append(line)
        self._bytes_waiting += size

    def _note_dropped(self) -> bool:
        """Add a line that reports the dropped ones; return whether there were any."""
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._append(_dropped_line(self._process, dropped))
        return dropped > 0

    def _write_later(self) -> None:
        """Have the thread write what waits, once it is time and there is room."""
        if self._is_due:
            return
        self._is_due = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_batches, name="log", daemon=True)
            self._thread.start()
        self._due.put(None)

    def _write_batches(self) -> None:
        while True:
            self._due.get()
            # another thread may have written meanwhile, and begun the next period
            while (left := self._next_write_at - time.monotonic()) > 0:
                time.sleep(left)
            self._is_due = False
            while self._write_waiting():
                self._wait_for_room(None)

    def _write_waiting(self) -> bool:
        """Write as much as there is room for; return whether lines are left."""
        with self._lock:
            if self._is_writing:
                return False
            self._is_writing = True
            try:
                self._is_full = not self._write_all()
            finally:
                self._is_writing = False
            self._next_write_at = _end_of_period(time.monotonic(), self._pause)
            # a signal handler's line may have come behind the last look
            if self._is_full or self._waiting:
                self._write_later()
            return self._is_full

    def _write_all(self) -> bool:
        """Write batches while there is room; return whether that was all."""
        while self._waiting or self._note_dropped():
            batch, lines = self._first_batch()
            written = self._write_some(batch, lines)
            self._remove(written)
            if written < len(batch):
                return False
        return True

    def _first_batch(self) -> tuple[bytes, int]:
        """Return the first lines, up to `_batch_bytes` but one at least, and how many they are."""
        lines = [self._waiting[0]]
        size = len(lines[0])
        # by index: a signal handler may append a line meanwhile
        for number in range(1, len(self._waiting)):
            line = self._waiting[number]
            size += len(line)
            if size > self._batch_bytes:
                break
            lines.append(line)
        return b"".join(lines), len(lines)

    def _remove(self, written: int) -> None:
        """Remove the first `written` bytes of what waits."""
        self._bytes_waiting -= written
        while self._waiting and written >= len(self._waiting[0]):
            written -= len(self._waiting.popleft())
        if written:
            self._waiting[0] = self._waiting[0][written:]

    def _wait_for_room(self, seconds: float | None) -> None:
        room = select.poll()
        room.register(self._file, select.POLLOUT)
        room.poll(None if seconds is None else seconds * 1000)


def _open(descriptor: int) -> socket.socket | io.FileIO:
    """Open `descriptor` again, so that O_NONBLOCK does not affect other processes that share it.

    A pipe of another user, such as a container's or that of `sudo -u app ... | tee`, can't be
    opened again; it is written like a file.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        return socket.socket(fileno=os.dup(descriptor))
    if stat.S_ISFIFO(mode):
        pipe = f"/proc/self/fd/{descriptor}"
        with suppress(PermissionError):
            return io.FileIO(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC), "w")
    return io.FileIO(os.dup(descriptor), "w")


def _dropped_line(process: str, dropped: int) -> bytes:
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    line = {
        "timestamp": now.replace("+00:00", "Z"),
        "level": "warning",
        "process": process,
        "message": "log lines dropped: nobody read them",
        "dropped": dropped,
    }
    return json.dumps(line).encode() + b"\n"


def _end_of_period(now: float, seconds: float) -> float:
    """Return when the present one of the machine's periods of `seconds` ends."""
    return now - now % seconds + seconds if seconds else now


_outputs: "weakref.WeakSet[Output]" = weakref.WeakSet()


def _reset_all() -> None:
    for output in _outputs:
        output._reset()


os.register_at_fork(after_in_child=_reset_all)
