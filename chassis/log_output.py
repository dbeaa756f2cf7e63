"""Log output that never blocks, even if nobody reads it.

A pipe that nobody reads takes about 200 kB and then blocks the writer. Here a line without room
waits in memory, in order, and a thread writes it when there is room.

It needs the standard library only: granian's master runs it too (chassis/http/granian_master.py).
"""

import io
import json
import os
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
        self._process = process
        self._on_drop = on_drop
        self._limit = limit
        self._reset()
        _outputs.add(self)

    def write(self, text: str) -> int:
        """Write lines, or keep them until they can be written."""
        data = text.encode(errors="backslashreplace")
        with self._lock:
            rest = data if self._waiting else data[self._write_some(data) :]
            if rest:
                self._keep(rest)
        return len(text)

    def drain(self, seconds: float) -> None:
        """Write waiting lines for `seconds` at most."""
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
        if not self.closed and not self._waiting:
            self._file.close()
        super().close()

    def _reset(self) -> None:
        # reentrant: a signal handler may log while the same thread writes a line
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._bytes_waiting = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def _write_some(self, data: bytes) -> int:
        """Write without blocking; return how many bytes were written."""
        try:
            if isinstance(self._file, socket.socket):
                return self._file.send(data, _AT_ONCE)
            return self._file.write(data) or 0
        except BlockingIOError:
            return 0
        except OSError:
            # nobody will ever read it
            self._on_drop()
            return len(data)

    def _keep(self, data: bytes) -> None:
        # after a drop, drop until half the limit is free, and report all drops in one line
        limit = self._limit // 2 if self._dropped else self._limit
        if self._waiting and self._bytes_waiting + len(data) > limit:
            self._dropped += 1
            self._on_drop()
            return
        self._note_dropped()
        self._append(data)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_later, name="log", daemon=True)
            self._thread.start()

    def _append(self, data: bytes) -> None:
        self._waiting.append(data)
        self._bytes_waiting += len(data)

    def _note_dropped(self) -> bool:
        """Add a line that reports the dropped ones; return whether there were any."""
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._append(_dropped_line(self._process, dropped))
        return dropped > 0

    def _write_later(self) -> None:
        while self._write_waiting():
            self._wait_for_room(None)

    def _write_waiting(self) -> bool:
        """Write as much as there is room for; return whether lines are left."""
        with self._lock:
            while self._waiting or self._note_dropped():
                data = self._waiting[0]
                taken = self._write_some(data)
                self._bytes_waiting -= taken
                if taken < len(data):
                    self._waiting[0] = data[taken:]
                    return True
                self._waiting.popleft()
            self._thread = None
            return False

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


_outputs: "weakref.WeakSet[Output]" = weakref.WeakSet()


def _reset_all() -> None:
    for output in _outputs:
        output._reset()


os.register_at_fork(after_in_child=_reset_all)
