"""What a drill needs of the platform that it acts on; on one machine and on machines the same."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from tools.drills.messages import Message

# a database that every server has, whatever is done to a service's
MAINTENANCE = "postgres"
READ_ONLY = "default_transaction_read_only"
Row = dict[str, Any]


class Unsuitable(Exception):
    """This drill can't be done here; the message says what it needs."""


def as_json(select: str) -> str:
    """A statement whose one value is the rows of `select`, as JSON."""
    return f"SELECT coalesce(json_agg(t), '[]') FROM ({select}) t"


def disconnect() -> str:
    """A SELECT that terminates all other connections to the database that it is asked of."""
    return """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
          AND pid <> pg_backend_pid()
    """


def read_only(database: str, on: bool) -> str:
    """A statement that has new sessions of a database begin read-only, or as they did before.

    To be put to another database of the same server: a session that is read-only can't take it.
    """
    name = database.replace('"', '""')
    change = f"SET {READ_ONLY} = on" if on else f"RESET {READ_ONLY}"
    return f'ALTER DATABASE "{name}" {change}'


class Source(Protocol):
    """Where the judge looks: databases, mails and queues."""

    def rows(self, service: str, select: str) -> list[Row]:
        """What a service's database answers to a SELECT. Raises StackError if it is away."""

    def mails(self) -> Counter[str]:
        """The names of the mails that were written."""

    def depths(self) -> Mapping[str, int]:
        """How many messages wait in each queue; nothing if the broker does not say."""

    def strays(self) -> list[str]:
        """Processes of PM2's that have outlived their parents, and work on beside the new ones."""


class Platform(Source, Protocol):
    """Everything that can be broken and looked at.

    Processes have their names in PM2; servers are `rabbitmq` and `postgresql-SERVICE`.
    """

    url: str
    token: str

    def check(self) -> None:
        """Raise StackError if the platform is not whole."""

    def is_whole(self) -> bool:
        """Whether all processes are ready."""

    def stop_process(self, name: str) -> None:
        """Have PM2 stop a process."""

    def start_process(self, name: str) -> None:
        """Have PM2 start a process that was stopped."""

    def kill_process(self, name: str) -> None:
        """Kill -9 a process, if it runs just now."""

    def freeze_process(self, name: str) -> None:
        """SIGSTOP a process and its children."""

    def thaw_process(self, name: str) -> None:
        """SIGCONT what was frozen."""

    def freeze_pm2(self) -> None:
        """SIGSTOP PM2 itself, on every machine; its processes run on."""

    def thaw_pm2(self) -> None:
        """SIGCONT PM2."""

    def act_on_server(self, action: str, name: str) -> None:
        """Stop, start, restart or kill (-9) a server."""

    def disconnect_database(self, service: str) -> None:
        """Terminate all connections to a service's database."""

    def set_read_only(self, service: str, on: bool) -> None:
        """Have a service's database take no changes, or take them again; its sessions end."""

    def disconnect_broker(self) -> None:
        """Close all AMQP connections, over the management API."""

    def alarm_broker(self, on: bool) -> None:
        """Have RabbitMQ believe that its disk is full, or not any more."""

    def stop_queues(self) -> None:
        """End RabbitMQ's quorum queues, as a full disk may, while the broker runs on."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages into their queues, past the gateway. Raises StackError."""

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange with its bindings, over the management API."""

    def purge(self, queue: str) -> None:
        """Throw away what waits in a queue, over the management API."""

    def command(self, service: str, *words: str) -> str:
        """What a command of a service says, such as `dlq list`. Raises StackError."""

    def disturb(self, effect: str, target: str) -> AbstractContextManager[None]:
        """`cut`, `delayed` or `lossy` network to a process or to rabbitmq. Raises Unsuitable."""

    def restart_all(self) -> None:
        """Restart every server and every process at once."""

    def full_disk(self, server: str) -> AbstractContextManager["FullDisk"]:
        """A platform whose `server` is at home on a small file system. Raises Unsuitable."""

    def machines(self) -> Sequence[str]:
        """The machines that can be halted; none on one machine."""

    def halt(self, machine: str) -> None:
        """Halt a machine."""

    def boot(self, machine: str) -> None:
        """Start a machine, and return when it is up."""

    def repair(self) -> None:
        """Undo whatever an interrupted drill may have left."""

    def keep_logs(self, directory: Path, began: float, ended: float) -> None:
        """Write what all logs say of a window (seconds since 1970) into `directory`."""


class FullDisk(Protocol):
    """A platform with a file system that can be filled."""

    platform: Platform

    def fill(self) -> None:
        """Leave no byte of it."""

    def free(self) -> None:
        """Undo that, and have the server run."""
