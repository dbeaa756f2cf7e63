"""The HTTP server: granian in WSGI mode, which replaces the calling process."""

import ctypes
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from multiprocessing.util import Finalize
from pathlib import Path
from typing import NoReturn

from chassis import logs, metrics
from chassis.http import unread_answers
from chassis.metric_files import DIRECTORY_VARIABLE
from chassis.settings import PortSettings, ProcessSettings, ServerSettings, read

GRACE_SECONDS = 10  # for requests in flight at a stop; PM2's kill_timeout is longer
HEADER_SECONDS = 10  # longer than chassis.http.keepalive keeps an idle connection
MASTER = Path(__file__).with_name("granian_master.py").absolute()
_PR_SET_PDEATHSIG = 1
# what libraries read while a worker runs; the second line: libpq's TLS and login, names' resolver
_LASTING = re.compile(
    rf"PATH|HOME|USER|TZ|TMPDIR|LANG|LC_\w+|PG\w+|SSL_\w+|PYTHON\w+|{DIRECTORY_VARIABLE}"
    r"|OPENSSL_\w+|KRB5\w+|RES_OPTIONS|LOCALDOMAIN|HOSTALIASES"
)
_LOOK_SECONDS = 1.0
logger = logging.getLogger(__name__)


def run(process: str, target: str, server: ServerSettings, port: PortSettings) -> NoReturn:
    """Replace this process by granian serving `target`; its master loads no code of ours.

    So a SIGHUP starts workers with the code that `CODE_DIR` links to at that moment: the master has
    imported none of it, and its working directory is `/`.

    Args:
        process: the PM2 name, for logs and metrics.
        target: the WSGI application, as `module:name`.
        server: where to listen, how many workers and threads.
        port: the TCP port.
    """
    place = read(ProcessSettings)
    state = place.state_dir.absolute() / process
    metrics.empty_directory(state / "metrics")
    log_config = state / "logging.json"
    log_config.write_text(json.dumps(logs.granian_config(process)))
    options = [*options_of(server, port), "--log-config", str(log_config)]
    options += ["--working-dir", str(place.code_dir.absolute())]
    os.chdir("/")
    # isolated: modules beside the script would hide those of the standard library
    command = [sys.executable, "-I", str(MASTER), process, *options, target]
    logs.flush()
    os.execv(command[0], command)


def options_of(server: ServerSettings, port: PortSettings) -> list[str]:
    """Return granian's options, which the benchmark's server uses as well."""
    options = {
        "interface": "wsgi",
        "http": "1",
        "host": server.bind,
        "port": port.port,
        "workers": server.workers,
        "blocking-threads": server.threads,
        "backlog": 1024,
        # connections of a worker, including idle ones; further ones wait in the backlog
        "backpressure": 512,
        # for a request's headers, and for the next request on a keep-alive connection
        "http1-header-read-timeout": HEADER_SECONDS * 1000,
        # per connection; headers twice as long are refused (431)
        "http1-buffer-size": 64 * 1024,
        "workers-kill-timeout": GRACE_SECONDS,
        # at a SIGHUP, the time for a new worker to accept connections before the old one stops
        "respawn-interval": 6,
    }
    flags = ["--no-ws", "--respawn-failed-workers"]
    return [f"--{name}={value}" for name, value in options.items()] + flags


def become_worker(process: str) -> None:
    """Prepare a worker of `process`, in which granian loads the application."""
    die_with_parent()
    logs.configure(process)
    # a child of multiprocessing skips Python's exit handlers
    Finalize(None, logs.flush, exitpriority=0)
    unread_answers.close_unread()


def forget_settings() -> None:
    """Remove all settings from this worker's environment, once the application is made of them.

    granian copies the environment into that of each request: that takes time, shows passwords to
    whatever reads or prints a request, and makes a header of a variable such as `HTTP_PROXY`.
    """
    for name in [name for name in os.environ if not _LASTING.fullmatch(name)]:
        del os.environ[name]


def die_with_parent(grace_seconds: float = GRACE_SECONDS) -> None:
    """Have this worker end when its master dies, even by kill -9 (prctl(2)).

    Otherwise the worker would go on accepting connections next to the new master's workers.

    Args:
        grace_seconds: for requests in flight; then the worker is killed.
    """
    # the fork inherits the master's handler, in which SIGTERM is lost
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    master = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if master == 1 or os.getppid() != master:
        logger.warning("the master ended while this worker started")
        sys.exit(0)
    watch = (master, grace_seconds)
    threading.Thread(target=_outlive_no_master, args=watch, name="master", daemon=True).start()


def _outlive_no_master(master: int, grace_seconds: float) -> None:
    """Kill this worker if the kernel's SIGTERM came before it could handle it."""
    while os.getppid() == master:
        time.sleep(_LOOK_SECONDS)
    time.sleep(grace_seconds)
    logs.flush()
    os.kill(os.getpid(), signal.SIGKILL)
