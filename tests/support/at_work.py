"""Work in threads beside a test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Work = Callable[[threading.Event], object]
END_SECONDS = 60.0


@contextmanager
def at_work(*works: Work) -> Iterator[threading.Event]:
    """Run each in its own thread.

    Lends the event that tells all of them to stop; it is set at the block's end at the latest, and
    all have to end within a minute.
    """
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join(END_SECONDS)
        assert not any(thread.is_alive() for thread in threads)


class Worker:
    """Work in a thread of the test, not started yet."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._running = ExitStack()

    def start(self) -> None:
        """Have it at work until `end`."""
        self._running.enter_context(at_work(self._work))

    def end(self) -> None:
        """Tell it to stop, if it is at work, and wait until it has."""
        self._running.close()


@contextmanager
def startable(work: Work) -> Iterator[Worker]:
    """Lend work that is not started yet, and end it at the block's end."""
    worker = Worker(work)
    try:
        yield worker
    finally:
        worker.end()
