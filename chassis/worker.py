"""A process without an API of its own: signals, and health and metrics on a port."""

import logging
import signal
import threading
from collections.abc import Sequence
from types import FrameType

from werkzeug.serving import make_server

from chassis import health, web
from chassis.settings import PortSettings, ProcessSettings, ServerSettings, read

logger = logging.getLogger(__name__)


def stop_event() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set: finish what is in hand, then end."""
    event = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        logger.info("stopping", extra={"signal": signal.Signals(number).name})
        event.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return event


def serve_health(
    process: str, ready: Sequence[health.Check], server: ServerSettings, port: PortSettings
) -> None:
    """Serve `/live`, `/ready` and `/metrics` in a thread.

    A second instance of a process (`pm2 scale`) takes the next port. A port that is taken is logged
    and does not keep the process from its work.
    """
    instance = read(ProcessSettings).node_app_instance
    app = web.create_app(process, ready=ready)
    try:
        http = make_server(server.bind, port.port + instance, app, threaded=True)
    except (OSError, SystemExit) as error:
        logger.error("no port for health and metrics", extra={"error": str(error)})
        return
    threading.Thread(target=http.serve_forever, name="health", daemon=True).start()
