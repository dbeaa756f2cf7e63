"""Connections that are kept between uses, the last one used first.

Own code in front of SQLAlchemy's pool, which opens the connections: its own return and check-out of
a connection take longer than a read by primary key. The last one used first, so that no more are
opened than are in use at once. Those that only a peak needed are closed after it: each costs its
server some megabytes.
"""

import ctypes
import logging
import select
import threading
import time
from types import TracebackType
from typing import Any, ClassVar

from sqlalchemy import Connection, Engine, PoolProxiedConnection
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

IDLE_SECONDS = 30.0
"""How long a connection stays open unused; longer than the pauses of steady traffic."""
logger = logging.getLogger(__name__)


class KeptConnections:
    """Up to `size` connections of an engine, each lent to one thread at a time.

    A connection that its server has closed is replaced when it is lent. After an error that closes
    one, the others are closed as well: their server may hang.
    """

    def __init__(self, engine: Engine, size: int, seconds: float) -> None:
        """Keep connections of `engine`; callers wait `seconds` for one at most."""
        self._engine = engine
        self._seconds = seconds
        self._permits = threading.Semaphore(size)
        # the one that was used last at the end
        self._idle: list[_Kept] = []
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def lend(self, *, autocommit: bool) -> "_Loan":
        """Lend a connection for a block; a transaction that its user leaves open is rolled back.

        Args:
            autocommit: whether the driver commits each statement, without a round trip for it.

        Raises:
            sqlalchemy.exc.TimeoutError: all are in use for too long.
            sqlalchemy.exc.DBAPIError: the database can't be connected to.
        """
        return _Loan(self, autocommit)

    def close(self) -> None:
        """Close all that are not in use."""
        while kept := self._pop():
            kept.proxy.close()
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def take(self) -> "_Kept":
        """Take a connection; it must be given back."""
        if not self._permits.acquire(timeout=self._seconds):
            raise PoolTimeoutError(f"no connection has become free within {self._seconds} s")
        try:
            return self._usable() or _Kept(self._engine)
        except BaseException:
            self._permits.release()
            raise

    def give_back(self, kept: "_Kept", connection: Connection | None) -> None:
        """Take back what was lent, as the connection that its user had, if he had one."""
        try:
            if connection is not None:
                self._keep(kept, connection)
        finally:
            self._permits.release()

    def _pop(self) -> "_Kept | None":
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _usable(self) -> "_Kept | None":
        while kept := self._pop():
            if kept.is_usable():
                return kept
            kept.proxy.invalidate()
        return None

    def _keep(self, kept: "_Kept", connection: Connection) -> None:
        if connection.invalidated or not kept.proxy.is_valid:
            while other := self._pop():
                other.proxy.invalidate()
            return
        try:
            connection.rollback()
        except BaseException:
            # SQLAlchemy has invalidated it if the connection was lost
            if kept.proxy.is_valid:
                kept.proxy.invalidate()
            raise
        kept.given_back = time.monotonic()
        self._idle.append(kept)
        if self._timer is None and len(self._idle) > 1:
            self._watch()

    def _watch(self) -> None:
        """Close what is idle after a while, if it is more than one connection."""
        with self._lock:
            if self._timer is None and len(self._idle) > 1:
                timer = threading.Timer(IDLE_SECONDS, self._close_idle)
                timer.daemon = True
                try:
                    timer.start()
                except RuntimeError as error:
                    # the user's transaction has succeeded; the next return of a connection tries it
                    logger.warning("idle connections stay open", extra={"reason": str(error)})
                else:
                    self._timer = timer

    def _close_idle(self) -> None:
        while kept := self._pop_idle():
            kept.proxy.invalidate()
        with self._lock:
            self._timer = None
        self._watch()

    def _pop_idle(self) -> "_Kept | None":
        """Take the one that has been idle for longest, if that is long, and not the only one."""
        try:
            given_back = self._idle[0].given_back
            # one stays: connecting takes longer than most requests
            if len(self._idle) < 2 or given_back > time.monotonic() - IDLE_SECONDS:
                return None
            # if others have just taken that one, the next: it is closed too early, and replaced
            return self._idle.pop(0)
        except IndexError:
            return None


class _Kept:
    """One connection: what SQLAlchemy and the kernel know of it is made once."""

    __slots__ = ("_driver", "_engine", "_readable", "_reading", "given_back", "proxy")

    def __init__(self, engine: Engine) -> None:
        """Open one. Raises sqlalchemy.exc.DBAPIError."""
        self._engine = engine
        # opens it with SQLAlchemy's errors
        self.proxy: PoolProxiedConnection = engine.connect().connection
        driver: Any = self.proxy.dbapi_connection
        self._driver = driver
        self._readable = Readable(driver.fileno())
        self._reading = Connection(engine, self.proxy)
        self.given_back = 0.0

    def is_usable(self) -> bool:
        """Return whether it is open, as far as the kernel knows."""
        return not self._driver.closed and not self._readable

    def in_mode(self, autocommit: bool) -> Connection:
        """Return it as one in autocommit mode, or as one for a transaction.

        That for a transaction is new each time: what follows its commit is noted on it.
        """
        if self._driver.autocommit is not autocommit:
            self._driver.autocommit = autocommit
        return self._reading if autocommit else Connection(self._engine, self.proxy)


class _Loan:
    """A block with a connection; cheaper than a generator, and entered for each read."""

    __slots__ = ("_autocommit", "_connection", "_kept", "_owner")

    def __init__(self, owner: KeptConnections, autocommit: bool) -> None:
        self._owner = owner
        self._autocommit = autocommit

    def __enter__(self) -> Connection:
        self._kept = kept = self._owner.take()
        try:
            self._connection = kept.in_mode(self._autocommit)
        except BaseException:
            self._owner.give_back(kept, None)
            raise
        return self._connection

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._owner.give_back(self._kept, self._connection)


class _PollFd(ctypes.Structure):
    """What poll(2) takes for each descriptor."""

    _fields_: ClassVar = [
        ("fd", ctypes.c_int),
        ("events", ctypes.c_short),
        ("revents", ctypes.c_short),
    ]


class Readable:
    """Whether the server has closed an idle connection, which is then readable (EOF).

    The kernel knows that without a round trip to the server. Python's own poll would let go of the
    interpreter's lock for a call that never waits, and a busy process would switch to another
    thread each time: a loan then costs a further context switch.
    """

    __slots__ = ("_address", "_entry")

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor of a connection that is open."""
        self._entry = _PollFd(descriptor, select.POLLIN)
        self._address = ctypes.addressof(self._entry)

    def __bool__(self) -> bool:
        # an error of the call counts: the connection is then replaced
        return bool(_POLL(self._address, 1, 0))


# a PyDLL keeps the interpreter's lock
_POLL = ctypes.PyDLL(None).poll
_POLL.argtypes = (ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int)
