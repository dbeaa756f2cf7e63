"""The watcher: takes a snapshot of the platform once a second, while somebody asks for it."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from chassis.topology_file import read_topology
from gateway.status.document import Document, document
from gateway.status.prober import EMPTY, Prober, Sources

INTERVAL_SECONDS = 1.0
IDLE_SECONDS = 10.0
FIRST_SECONDS = 5.0  # the longest wait for a first snapshot, which takes one second
logger = logging.getLogger(__name__)


class Watcher:
    """Keeps the newest state of the platform; each worker has one, idle until it is asked."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._changed = threading.Condition()
        self._asked_at = 0.0
        self._thread: threading.Thread | None = None
        self._newest: Document | None = None

    def status(self) -> Document:
        """Return the newest state; wait for a first snapshot if nobody has asked for a while.

        Without a snapshot in time, everything is shown as down.
        """
        with self._changed:
            self._asked_at = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
                self._thread.start()
            self._changed.wait_for(lambda: self._newest is not None, FIRST_SECONDS)
            return self._newest or document(self._sources.platform, EMPTY)

    def summary(self, detailed: bool = True) -> dict[str, Any]:
        """Return name, version, the services' states (if `detailed`), and links."""
        status = self.status()
        processes = [p for machine in status["machines"] for p in machine["processes"]]
        services = {
            role.server.name: _best(
                [p["status"] for p in processes if p["name"] == role.server.name]
            )
            for role in read_topology().roles
            if role.server
        }
        return {
            "name": status["name"],
            "version": status["version"],
            "status": status["status"],
            "services": services if detailed else {},
            "links": {"docs": "/docs", "openapi": "/openapi.yaml", "status": "/api/status"},
        }

    def is_watching(self) -> bool:
        """Return whether the thread runs."""
        with self._changed:
            return self._thread is not None

    def close(self) -> None:
        """End the thread after the snapshot that it is taking."""
        with self._changed:
            self._asked_at = -IDLE_SECONDS
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(5)

    def _watch(self) -> None:
        try:
            with closing(Prober(self._sources)) as prober:
                while self._goes_on():
                    self._take_snapshot(prober)
        except Exception:
            logger.exception("the watch ended unexpectedly")
            self._end()

    def _take_snapshot(self, prober: Prober) -> None:
        began = time.monotonic()
        found = document(self._sources.platform, prober.snapshot())
        with self._changed:
            self._newest = found
            self._changed.notify_all()
            left = began + INTERVAL_SECONDS - time.monotonic()
            self._changed.wait_for(lambda: not self._is_asked(), max(0, left))

    def _goes_on(self) -> bool:
        """Return whether somebody has asked recently; if not, forget this thread, which ends."""
        with self._changed:
            asked = self._is_asked()
            if not asked:
                self._thread = self._newest = None
            return asked

    def _is_asked(self) -> bool:
        return time.monotonic() - self._asked_at < IDLE_SECONDS

    def _end(self) -> None:
        with self._changed:
            self._thread = self._newest = None


def _best(statuses: Sequence[str]) -> str:
    """Return the state of a service that several machines may serve: one ready one is enough."""
    return "ready" if "ready" in statuses else next(iter(statuses), "down")
