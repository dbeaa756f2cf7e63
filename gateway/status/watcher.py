"""The watch: surveys the platform once a second while somebody asks, and rests otherwise."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from chassis.topology_file import read_topology
from gateway.status.document import Document, document
from gateway.status.snapshot import NOTHING, Places, Surveyor

INTERVAL_SECONDS = 1.0
IDLE_SECONDS = 10.0
FIRST_SECONDS = 5.0  # that whoever asks first waits at most; a survey takes one
logger = logging.getLogger(__name__)


class Watch:
    """Knows the newest state of the platform; made in each worker, idle until it is asked."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._changed = threading.Condition()
        self._asked_at = 0.0
        self._thread: threading.Thread | None = None
        self._newest: Document | None = None

    def status(self) -> Document:
        """Return the newest state, at once unless nobody has asked for a while.

        What is not known even then is said to be down.
        """
        with self._changed:
            self._asked_at = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
                self._thread.start()
            self._changed.wait_for(lambda: self._newest is not None, FIRST_SECONDS)
            return self._newest or document(self._places.platform, NOTHING)

    def summary(self, detailed: bool = True) -> dict[str, Any]:
        """Return name, version, how the services are (if `detailed`), and where to read on."""
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
        """Tell whether a thread is at work."""
        with self._changed:
            return self._thread is not None

    def close(self) -> None:
        """Rest after the survey that is under way, as if nobody had asked for long."""
        with self._changed:
            self._asked_at = -IDLE_SECONDS
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(5)

    def _watch(self) -> None:
        try:
            with closing(Surveyor(self._places)) as surveyor:
                while self._goes_on():
                    self._survey(surveyor)
        except Exception:
            logger.exception("the watch ended unexpectedly")
            self._end()

    def _survey(self, surveyor: Surveyor) -> None:
        began = time.monotonic()
        found = document(self._places.platform, surveyor.survey())
        with self._changed:
            self._newest = found
            self._changed.notify_all()
            left = began + INTERVAL_SECONDS - time.monotonic()
            self._changed.wait_for(lambda: not self._is_asked(), max(0, left))

    def _goes_on(self) -> bool:
        """Tell whether somebody has asked of late; if not, this thread is none any more."""
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
    """Return how a service is that several machines may serve: one of them is enough."""
    return "ready" if "ready" in statuses else next(iter(statuses), "down")
