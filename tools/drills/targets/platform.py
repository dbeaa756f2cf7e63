"""What a drill needs of its platform, on one machine and on Vagrant's machines alike."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from tools.drills.messages import Message

# a database that every server has, which no fault changes
MAINTENANCE = "postgres"
READ_ONLY = "default_transaction_read_only"
Row = dict[str, Any]


class Unsuitable(Exception):
    """This drill can't run here; the message says what it needs."""


def as_json(select: str) -> str:
    """A statement that returns the rows of `select` as one JSON value."""
    return f"SELECT coalesce(json_agg(t), '[]') FROM ({select}) t"


def disconnect() -> str:
    """A SELECT that terminates all other connections to the current database."""
    return """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
          AND pid <> pg_backend_pid()
    """


def read_only(database: str, on: bool) -> str:
    """A statement that makes new sessions of a database read-only, or undoes that.

    Run it in another database of the same server: a read-only session can't.
    """
    name = database.replace('"', '""')
    change = f"SET {READ_ONLY} = on" if on else f"RESET {READ_ONLY}"
    return f'ALTER DATABASE "{name}" {change}'


class Source(Protocol):
    """What the checker reads: databases, mails and queues."""

    def rows(self, service: str, select: str) -> list[Row]:
        """The rows of a SELECT in a service's database. Raises StackError if it is unavailable."""

    def mails(self) -> Counter[str]:
        """The names of the written mails."""

    def depths(self) -> Mapping[str, int]:
        """The number of messages in each queue; empty if the broker does not answer."""

    def orphans(self) -> list[str]:
        """Processes of PM2 that have outlived their parents and still run beside the new ones."""


class Platform(Source, Protocol):
    """A platform that faults act on.

    Processes have their PM2 names; servers are `rabbitmq`, `redis` and `postgresql-SERVICE`.
    """

    url: str
    token: str

    def check(self) -> None:
        """Raise StackError if the platform is not healthy."""

    def is_healthy(self) -> bool:
        """Whether all processes are ready."""

    def stop_process(self, name: str) -> None:
        """Have PM2 stop a process."""

    def start_process(self, name: str) -> None:
        """Have PM2 start a process that was stopped."""

    def kill_process(self, name: str) -> None:
        """Kill -9 a process, if it runs."""

    def freeze_process(self, name: str) -> None:
        """SIGSTOP a process and its children."""

    def thaw_process(self, name: str) -> None:
        """SIGCONT a process and its children."""

    def freeze_pm2(self) -> None:
        """SIGSTOP PM2 itself, on every machine; its processes keep running."""

    def thaw_pm2(self) -> None:
        """SIGCONT PM2."""

    def act_on_server(self, action: str, name: str) -> None:
        """Stop, start, restart or kill (-9) a server; freeze, thaw or flush `redis`."""

    def disconnect_database(self, service: str) -> None:
        """Terminate all connections to a service's database."""

    def set_read_only(self, service: str, on: bool) -> None:
        """Make a service's database read-only, or writable again; its sessions end."""

    def disconnect_broker(self) -> None:
        """Close all AMQP connections, over the management API."""

    def alarm_broker(self, on: bool) -> None:
        """Make RabbitMQ believe that its disk is full, or no longer."""

    def stop_queues(self) -> None:
        """Stop RabbitMQ's quorum queues, as a full disk may, while the broker keeps running."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages to their queues directly. Raises StackError."""

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange with its bindings, over the management API."""

    def purge(self, queue: str) -> None:
        """Delete the messages of a queue, over the management API."""

    def command(self, service: str, *words: str) -> str:
        """Run a command of a service, such as `dlq list`; returns its output. Raises StackError."""

    def disturb(self, effect: str, target: str) -> AbstractContextManager[None]:
        """`cut`, `delayed` or `lossy` network to a process or to rabbitmq. Raises Unsuitable."""

    def restart_all(self) -> None:
        """Restart every server and every process at once."""

    def full_disk(self, server: str) -> AbstractContextManager["FullDisk"]:
        """A platform whose `server` has its data on a small file system. Raises Unsuitable."""

    def machines(self) -> Sequence[str]:
        """The machines that can be halted; none on one machine."""

    def halt(self, machine: str) -> None:
        """Halt a machine."""

    def boot(self, machine: str) -> None:
        """Start a machine, and return when it is up."""

    def repair(self) -> None:
        """Undo everything that an interrupted drill may have left."""

    def keep_logs(self, directory: Path, began: float, ended: float) -> None:
        """Write all logs of a window (seconds since 1970) into `directory`."""


class FullDisk(Protocol):
    """A platform with a file system that can be filled."""

    platform: Platform

    def fill(self) -> None:
        """Fill it to the last byte."""

    def free(self) -> None:
        """Free the space, and make sure that the server runs."""
