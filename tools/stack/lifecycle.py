"""Starts and stops a stack.

A start does in parallel what it can, and leaves alone what already runs.
"""

import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tools.stack import logs, port_allocation, processes, variables
from tools.stack.console import Report, silent, step
from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT, PROCESSES, SERVICES, Process
from tools.stack.migrations import Migrations, migrations
from tools.stack.release import fingerprint
from tools.stack.servers import data_directories
from tools.stack.servers.postgres import Postgres
from tools.stack.stack import Server, Stack
from tools.stack.waiting import wait_until

READY_SECONDS = 60.0


def up(stack: Stack, report: Report = silent) -> None:
    """Start or restart what needs it, and wait until every process is ready.

    Raises StackError.
    """
    Startup(stack, report).run()


def down(stack: Stack, purge: bool = False, report: Report = silent) -> None:
    """Stop all of a stack; `purge` also removes its data.

    Raises StackError if a process does not end.
    """
    with step("PM2 and its processes", report) as outcome:
        outcome.text = "stopped" if stack.process_manager.pids() else "not running"
        stack.process_manager.stop()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda item: _stop(item[0], item[1], report), stack.servers().items()))
    wait_until(lambda: not stack.pids(), 10, f"what runs in {stack.home} to end")
    if purge:
        with step("data", report) as outcome:
            data_directories.purge(stack.home)
            outcome.text = "removed"


def kill(stack: Stack) -> None:
    """End all of a stack at once, like a power cut: for one whose data nobody needs any more.

    Raises StackError if a process does not end.
    """

    def is_gone() -> bool:
        # a process that PM2 or a server starts meanwhile is found at the next look
        processes.signal_all(stack.process_manager.daemons(), signal.SIGKILL)
        processes.signal_all(pids := stack.pids(), signal.SIGKILL)
        return not pids

    _quit_databases(stack)
    wait_until(is_gone, 30, f"what runs in {stack.home} to end")


def _quit_databases(stack: Stack) -> None:
    """End each PostgreSQL by SIGQUIT: SIGKILL would leave its shared memory behind for ever."""
    servers = [server for server in stack.postgres.values() if server.running()]
    # a frozen process takes no SIGQUIT
    processes.thaw(pid for server in servers for pid in server.pids())
    with ThreadPoolExecutor() as pool:
        list(pool.map(Postgres.stop_at_once, servers))


def _stop(name: str, server: Server, report: Report) -> None:
    with step(name, report) as outcome:
        outcome.text = "stopped" if server.running() else "not running"
        server.stop()


class Startup:
    """One start of `stack`; `report` receives its steps."""

    def __init__(self, stack: Stack, report: Report) -> None:
        self._stack = stack
        self._report = report
        self._text = variables.render(stack.variables)
        self._release = fingerprint(self._text)
        self._stamp = stack.home / "release"
        self._is_new = not self._stamp.exists() or self._stamp.read_text() != self._release

    def run(self) -> None:
        """Start everything and wait until it is ready. Raises StackError."""
        self._prepare()
        with ThreadPoolExecutor() as pool:
            broker = pool.submit(self._start, "rabbitmq", self._stack.rabbitmq)
            cache = pool.submit(self._start, "redis", self._stack.redis)
            self._initialize_databases()
            self._start_databases(pool)
            self._start_processes()
            cache.result()
            broker.result()
        with step("waiting until ready", self._report) as outcome:
            wait_ready(self._stack, PROCESSES)
            outcome.text = "ready"
        self._stamp.write_text(self._release)

    def _prepare(self) -> None:
        stack = self._stack
        stack.home.mkdir(parents=True, exist_ok=True)
        # first of all, since a refused start must change nothing
        port_allocation.check(stack.variables, frozenset(stack.pids()))
        if self._is_new:
            self._check_settings()
        stack.process_manager.end_unreachable()
        # an interrupted start must not look like a finished one
        if self._is_new:
            self._stamp.unlink(missing_ok=True)
        stack.env_file.touch(mode=0o600)
        stack.env_file.write_text(self._text)

    def _check_settings(self) -> None:
        """Raise StackError if a service does not take the variables."""
        own = self._stack.process_manager.environment()
        del own["ENV_FILE"]  # it still has those of the last start
        done = subprocess.run(
            [sys.executable, "-m", "chassis.check_settings", *SERVICES],
            cwd=CHECKOUT,
            env=own | self._stack.variables,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            faults = done.stderr.strip().splitlines()
            raise StackError("; ".join(fault.removeprefix("settings: ") for fault in faults))

    def _start(self, name: str, server: Server) -> None:
        with step(name, self._report) as outcome:
            was_running = server.running()
            if was_running and serves(server):
                return
            server.stop()
            server.start()
            outcome.text = "restarted" if was_running else "started"

    def _initialize_databases(self) -> None:
        """Initialize what has no data: the first by initdb, the others as copies of it."""
        missing = [server for server in self._stack.postgres.values() if not server.has_data()]
        for server in missing[1:]:
            server.initialize_like(missing[0])

    def _start_databases(self, pool: ThreadPoolExecutor) -> None:
        if not self._is_new:
            list(pool.map(self._start_postgres, SERVICES))
            return
        with migrations(self._stack.process_manager.environment()) as migrating:
            list(pool.map(partial(self._start_and_migrate, migrating), SERVICES))

    def _start_postgres(self, service: str) -> None:
        self._start(f"postgresql-{service}", self._stack.postgres[service])

    def _start_and_migrate(self, migrating: Migrations, service: str) -> None:
        self._start_postgres(service)
        with step(f"database of {service}", self._report) as outcome:
            fields = (f"{service.upper()}_DB_{field}" for field in ("NAME", "USER", "PASSWORD"))
            values = (self._stack.variables[field] for field in fields)
            self._stack.postgres[service].create_database(*values)
            migrating.run(service)
            outcome.text = "migrated"

    def _start_processes(self) -> None:
        pm2 = self._stack.process_manager
        with step("PM2 processes", self._report) as outcome:
            entries = pm2.entries()
            known = {entry.name for entry in entries}
            # PM2 restarts crashed processes by itself
            stopped = {entry.name for entry in entries if entry.status in ("stopped", "errored")}
            wanted = {process.name for process in PROCESSES}
            if self._is_new or not wanted <= known:
                pm2.start()
                outcome.text = "started"
            elif stopped & wanted:
                pm2.call("restart", *sorted(stopped & wanted))
                outcome.text = "restarted " + ", ".join(sorted(stopped & wanted))


def wait_ready(stack: Stack, some: Iterable[Process]) -> None:
    """Wait until processes are ready.

    Raises StackError with the last log line of one that is not.
    """
    for process in some:
        try:
            wait_until(partial(stack.is_ready, process), READY_SECONDS, process.name)
        except StackError as error:
            last = logs.last_line(stack.process_manager.logs, process.name)
            more = f"More: ./stack logs {process.name}"
            raise StackError(f"{error} Its log ends with: {last} {more}") from None


def serves(server: Server) -> bool:
    """Whether a running server is current and ready: not one that is stopping.

    A RabbitMQ with dead queues or without its vhost is not ready either: a restart repairs both.
    """
    try:
        return server.is_current() and server.is_ready()
    except StackError:
        return False
