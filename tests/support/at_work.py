"""Work in threads beside a test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
