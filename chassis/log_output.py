"""Log lines for a reader that may not read: written at once or later, never waited for.

A pipe that nobody empties takes about 200 kB, and then holds up whoever writes. Here a line that
finds no room waits in memory, in order, and a thread writes it when there is room.

It needs the standard library alone: granian's master runs it, too (chassis/http/granian_master.py).
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
    """A stream on a copy of a file descriptor; lines that don't fit are dropped and counted.

    Only sockets and pipes can be full; a file or a terminal is written to as usual. After a fork
    the child has none of the lines that wait: they are its parent's to write.
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
            process: the name in the line that tells how many lines were dropped.
            on_drop: called for each line that is dropped.
            limit: of the lines that wait, in bytes.
        """
        self._file = _open(descriptor)
        self._process = process
        self._on_drop = on_drop
        self._limit = limit
        self._reset()
        _outputs.add(self)

    def write(self, text: str) -> int:
        """Write one line or more, or keep them until they can be written."""
        data = text.encode(errors="backslashreplace")
        with self._lock:
            rest = data if self._waiting else data[self._write_some(data) :]
            if rest:
                self._keep(rest)
        return len(text)

    def drain(self, seconds: float) -> None:
        """Write what waits, as far as it is read within `seconds`."""
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
        """Give the copy back, unless lines wait for it."""
        if not self.closed and not self._waiting:
            self._file.close()
        super().close()

    def _reset(self) -> None:
        # a signal's handler may log in the middle of a line of the same thread
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._bytes_waiting = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def _write_some(self, data: bytes) -> int:
        """Return how many bytes could be written just now."""
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
        # once lines are dropped they are until there is room for many, and one line tells of them
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
        """Put a line where the dropped ones would be; return whether there were any."""
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._append(_dropped_line(self._process, dropped))
        return dropped > 0

    def _write_later(self) -> None:
        while self._write_waiting():
            self._wait_for_room(None)

    def _write_waiting(self) -> bool:
        """Write what there is room for; return whether some is left."""
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
    """Open `descriptor` a second time, so that whoever shares it does not notice O_NONBLOCK.

    A pipe of another user, as a container's and that of `sudo -u app ... | tee` are, can't be
    opened again; it is written to as a file is.
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
