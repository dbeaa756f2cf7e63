"""What a backup and a restore need to know of where they run."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from chassis.settings import DatabaseSettings


class RabbitmqControl(Protocol):
    """Runs rabbitmqctl."""

    def __call__(self, *arguments: str, text: str | None = None) -> str:
        """Return its output; `text` is its standard input. Raises BackupError."""
        ...


class Broker(NamedTuple):
    """RabbitMQ, if it runs here.

    Attributes:
        service: whose machine it is on.
        vhost: the platform's.
        control: runs rabbitmqctl.
        own_definitions: the file with the definitions of this release.
    """

    service: str
    vhost: str
    control: RabbitmqControl
    own_definitions: str


class Platform(ABC):
    """Services whose databases are here.

    Attributes:
        services: their names.
        account: who runs pg_dump and psql; None for the caller.
    """

    services: Sequence[str]
    account: str | None = None

    @abstractmethod
    def database(self, service: str) -> DatabaseSettings:
        """Return where a service's database is. Raises BackupError or SettingsError."""

    @abstractmethod
    def broker(self) -> Broker | None:
        """Return RabbitMQ, if it runs here. Raises BackupError if it should and does not."""

    @abstractmethod
    def stopped(self, services: Sequence[str]) -> AbstractContextManager[None]:
        """Stop the processes of services for a block, and start again those that ran."""

    @abstractmethod
    def finish(self, service: str) -> str:
        """Run `python -m SERVICE restored`, and return what it prints. Raises BackupError."""

    @abstractmethod
    def flush_cache(self) -> None:
        """Empty the gateway's cache, if it is here and runs. Raises BackupError."""
