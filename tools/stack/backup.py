"""Backup and restore of the platform on this machine; the work is chassis.backup's."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone

from pydantic import SecretStr

from chassis.backup import interruptions, work
from chassis.backup.directory import named
from chassis.backup.errors import BackupError
from chassis.backup.platform import Broker, Platform
from chassis.settings import DatabaseSettings
from chassis.topology import RABBITMQ
from tools.stack import lifecycle
from tools.stack.console import Report
from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT, PROCESSES, SERVICES, TOPOLOGY
from tools.stack.progress import PROGRESS
from tools.stack.stack import Stack

HOME = CHECKOUT / "backups"


class StackPlatform(Platform):
    """All services of a stack, whose databases and RabbitMQ must run."""

    def __init__(self, stack: Stack) -> None:
        self.services: Sequence[str] = SERVICES
        self._stack = stack

    def database(self, service: str) -> DatabaseSettings:
        """The database of a service. Raises BackupError if it does not run."""
        if not self._stack.postgres[service].running():
            raise BackupError(f"The database of {service} does not run: ./stack up starts it.")
        values, prefix = self._stack.variables, f"{service.upper()}_DB_"
        return DatabaseSettings(
            host=values[f"{prefix}HOST"],
            port=int(values[f"{prefix}PORT"]),
            name=values[f"{prefix}NAME"],
            user=values[f"{prefix}USER"],
            password=SecretStr(values[f"{prefix}PASSWORD"]),
        )

    def broker(self) -> Broker:
        """RabbitMQ. Raises BackupError if it does not run."""
        rabbitmq = self._stack.rabbitmq
        if not rabbitmq.running():
            raise BackupError("RabbitMQ does not run: ./stack up starts it.")
        service = TOPOLOGY.machines_with(RABBITMQ)[0].role.name
        return Broker(service, rabbitmq.vhost, rabbitmq.control, str(rabbitmq.definitions))

    @contextmanager
    def stopped(self, services: Sequence[str]) -> Iterator[None]:
        """Have PM2 stop the processes for a block, and wait until they are ready again."""
        manager = self._stack.process_manager
        own = {process.name: process for process in PROCESSES if process.service in services}
        online = {entry.name for entry in manager.entries() if entry.status != "stopped"}
        names = [name for name in own if name in online]
        try:
            if names:
                manager.call("stop", *names)
            yield
        finally:
            if names:
                manager.call("restart", *names)
        lifecycle.wait_ready(self._stack, [own[name] for name in names])

    def finish(self, service: str) -> str:
        """Run the command of the service."""
        done = subprocess.run(
            [sys.executable, "-m", service, "restored"],
            cwd=CHECKOUT,
            env=self._stack.process_manager.environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            said = done.stderr.strip().rpartition("\n")[2]
            raise BackupError(f"`{service} restored` failed: {said}")
        return done.stdout

    def flush_cache(self) -> None:
        """Empty Redis, if it runs: one that does not is empty when it starts."""
        from redis import RedisError

        if self._stack.redis.running():
            try:
                self._stack.redis.flush()
            except RedisError as error:
                raise BackupError(f"The cache was not emptied: {error}.") from None


def back_up(stack: Stack, directory: str | None, report: Report) -> None:
    """Back up all databases and RabbitMQ's definitions. Raises StackError."""
    interruptions.exit_in_order()
    target = named(directory) if directory else HOME / work.name_of(datetime.now(timezone.utc))
    with _as_stack_error(), PROGRESS.of("dumping the databases"):
        made = work.back_up(StackPlatform(stack), target)
    report(work.told(made, target))


def restore(
    stack: Stack, directory: str, services: Sequence[str], replace: bool, report: Report
) -> None:
    """Restore a backup, or some services of it. Raises StackError."""
    interruptions.exit_in_order()
    with _as_stack_error(), PROGRESS.of("restoring"):
        work.restore(StackPlatform(stack), named(directory), services, replace, report)


@contextmanager
def _as_stack_error() -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        raise StackError(str(error)) from None
