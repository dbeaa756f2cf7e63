"""A machine that provisioning has made: its own service's database, and RabbitMQ if it has it.

Root runs this: it stops and starts the services, writes where only root may, and asks RabbitMQ.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chassis import service_commands
from chassis.backup.errors import BackupError
from chassis.backup.platform import Broker, Platform
from chassis.settings import DatabaseSettings, Group, read, read_broker
from chassis.topology import RABBITMQ
from chassis.topology_file import read_topology

ACCOUNT = "app"
UNIT = "crud-master.service"
_ENDED = ("inactive", "failed")
RABBITMQCTL = "/usr/sbin/rabbitmqctl"
# provisioning/steps/rabbitmq.sh writes it
DEFINITIONS = "/etc/rabbitmq/definitions.json"


class _Cache(Group):
    """Where the gateway's cache is, on a machine that has it."""

    redis_socket: Path | None = None


class MachinePlatform(Platform):
    """The machine of one role."""

    account = ACCOUNT

    def __init__(self, role: str) -> None:
        self.services: Sequence[str] = (role,)
        self._role = read_topology().role(role)

    def database(self, service: str) -> DatabaseSettings:
        """Return the settings of the service's database. Raises SettingsError."""
        found: DatabaseSettings = service_commands.load(service).database
        return found

    def broker(self) -> Broker | None:
        """Return RabbitMQ, if this is its machine."""
        if RABBITMQ not in self._role.servers:
            return None
        return Broker(self._role.name, read_broker().vhost, _rabbitmqctl, DEFINITIONS)

    @contextmanager
    def stopped(self, services: Sequence[str]) -> Iterator[None]:
        """Stop PM2's unit for a block, unless it has ended: one that starts would run in it."""
        if _run(["systemctl", "is-active", UNIT], check=False).stdout.strip() in _ENDED:
            yield
            return
        try:
            _run(["systemctl", "stop", UNIT])
            yield
        finally:
            _run(["systemctl", "start", UNIT])

    def finish(self, service: str) -> str:
        """Run the command as the services' account."""
        return _run([sys.executable, "-m", service, "restored"], user=ACCOUNT).stdout

    def flush_cache(self) -> None:
        """Empty Redis, if it is here."""
        if (path := read(_Cache).redis_socket) is None:
            return
        import redis

        try:
            with redis.Redis(unix_socket_path=str(path), socket_timeout=5) as client:
                client.flushall()
        except redis.ConnectionError:
            # a cache that does not run is empty when it starts
            return
        except redis.RedisError as error:
            raise BackupError(f"The cache was not emptied: {error}.") from None


def _rabbitmqctl(*arguments: str, text: str | None = None) -> str:
    return _run([RABBITMQCTL, "--quiet", *arguments], text=text).stdout


def _run(
    command: Sequence[str], *, text: str | None = None, user: str | None = None, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run a program; raises BackupError with its last words if it fails."""
    done = subprocess.run(
        command,
        input=text or "",
        text=True,
        capture_output=True,
        user=user,
        group=user,
        extra_groups=[] if user else None,
    )
    if done.returncode and check:
        name = " ".join([Path(command[0]).name, *command[1:3]])
        said = " ".join(done.stderr.split())[-500:]
        raise BackupError(f"{name} failed: {said}")
    return done
