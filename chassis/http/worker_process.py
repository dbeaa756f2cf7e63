"""What a process without an API needs: signals, threads, and a port for health and metrics."""

import errno
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from flask import Flask
from werkzeug.serving import make_server

from chassis.http import app as web
from chassis.http import health, unread_answers
from chassis.settings import PortSettings, ServerSettings, own_name

_INSTANCES = 16  # ports tried, and so the most instances of a process with health
_MOVE_SECONDS = 1.0
_FINISH_SECONDS = 10.0  # from the stop on; below PM2's kill_timeout
_LEAST_SECONDS = 1.0
Run = Callable[[], object]
logger = logging.getLogger(__name__)


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set: finish the work in hand, then end."""
    event = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        logger.info("stopping", extra={"signal": signal.Signals(number).name})
        event.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return event


def run_together(stop: threading.Event, first: Run, *others: Run) -> None:
    """Run each loop in a thread of its own; when one ends, stop all.

    This thread, which handles the signals, only waits for them. A signal that interrupts
    `SimpleQueue.get` may use up the time that is left of its time limit, and then CPython waits
    without a limit (Python 3.11: Modules/_queuemodule.c). An `Event` that is set by a handler while
    its own thread begins to wait for it deadlocks.

    Args:
        stop: ends all of them; set when one ends by itself.
        first: returns after it has finished its work in hand.
        others: do the same, or are given up `_FINISH_SECONDS` after the stop; if `first` takes
            longer than that, `_LEAST_SECONDS` after it.

    Raises:
        Exception: the error that ended one of them.
    """
    failures: list[Exception] = []

    def run(loop: Run) -> None:
        try:
            loop()
        except Exception as error:
            logger.exception("ended unexpectedly")
            failures.append(error)
        finally:
            stop.set()

    watcher = threading.Thread(target=stop.wait, daemon=True)
    watcher.start()
    threads = [threading.Thread(target=run, args=(loop,), daemon=True) for loop in (first, *others)]
    for thread in threads:
        thread.start()
    watcher.join()
    stopped = time.monotonic()
    threads[0].join()
    end = _end(stopped, time.monotonic())
    for thread in threads[1:]:
        thread.join(max(0, end - time.monotonic()))
    if failures:
        raise failures[0]


def _end(stopped: float, now: float) -> float:
    """Return when loops are given up, by the times of the stop and of the end of the first loop."""
    return max(stopped + _FINISH_SECONDS, now + _LEAST_SECONDS)


@contextmanager
def serving_health(
    process: str, ready: Sequence[health.Check], server: ServerSettings, port: PortSettings
) -> Iterator[None]:
    """Serve `/live`, `/ready` and `/metrics` in a thread until the block ends.

    A further instance of a process (`pm2 scale`) takes the next free port, and moves to an earlier
    one when that becomes free.
    """
    app = web.create_app(own_name(process), ready=ready)
    end = threading.Event()
    arguments = (app, server.bind, port.port, end)
    thread = threading.Thread(target=_serve, args=arguments, name="health", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(_LEAST_SECONDS)


def _serve(app: Flask, host: str, first: int, end: threading.Event) -> None:
    listener = _listen(host, range(first, first + _INSTANCES))
    while not end.is_set():
        if listener is None:
            logger.error("no port for health and metrics", extra={"first": first})
            end.wait(_MOVE_SECONDS)
            listener = _listen(host, range(first, first + _INSTANCES))
        else:
            listener = _serve_until_better(app, listener, first, end)
    if listener is not None:
        listener.close()


def _serve_until_better(
    app: Flask, listener: socket.socket, first: int, end: threading.Event
) -> socket.socket | None:
    """Serve on `listener` until an earlier port is free; return a listener on that port.

    Return None if `end` is set earlier.
    """
    host, port = listener.getsockname()
    http = make_server(host, port, app, threaded=True, fd=listener.fileno())
    thread = threading.Thread(target=http.serve_forever, name="health http", daemon=True)
    thread.start()
    better = None
    while better is None and not end.wait(_MOVE_SECONDS):
        better = _listen(host, range(first, port))
    http.shutdown()
    http.server_close()
    listener.close()
    return better


def _listen(host: str, ports: Iterable[int]) -> socket.socket | None:
    for port in ports:
        try:
            listener = socket.create_server((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            unread_answers.limit(listener)
            return listener
    return None
