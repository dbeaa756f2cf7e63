"""Work that goes on in threads beside a test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Work = Callable[[threading.Event], None]


@contextmanager
def at_work(*works: Work) -> Iterator[None]:
    """Have each at work in a thread of its own; at the block's end all are told to stop."""
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
