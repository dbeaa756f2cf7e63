"""What a stack consists of, over one home directory: its variables, servers and processes."""

from collections.abc import Mapping
from pathlib import Path

import requests

from tools.stack import port_allocation, processes, variables
from tools.stack.layout import CHECKOUT, LOOPBACK, SERVICES, TOPOLOGY, Process
from tools.stack.pm2 import Pm2, Result
from tools.stack.servers import data_directories
from tools.stack.servers.postgres import Postgres
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.servers.redis import Redis

ENV_FILE = "services.env"
Server = Postgres | RabbitMQ | Redis


class Stack:
    """Everything that runs for one home directory; `variables` are resolved."""

    def __init__(self, home: Path, variables: Mapping[str, str]) -> None:
        self.home = home
        self.variables = dict(variables)
        self.url = f"http://{variables['GATEWAY_BIND']}:{variables['GATEWAY_PORT']}"
        self.postgres = {service: self._postgres(service) for service in SERVICES}
        self.rabbitmq = self._rabbitmq()
        self.redis = Redis(home / "redis")
        self.env_file = home / ENV_FILE
        self.process_manager = Pm2(home / "pm2", self.env_file)

    @classmethod
    def private(cls, home: Path, **overrides: str) -> "Stack":
        """A separate stack on free ports of 127.0.0.1, by .env.example and `overrides`."""
        values, ports = variables.example(), port_allocation.choose_private()
        resolved = variables.resolve(values, variables.PRIVATE_ADDRESSES, ports, home / "state")
        return cls(home, resolved | overrides)

    @classmethod
    def of_checkout(cls) -> "Stack":
        """The checkout's own stack. Raises StackError when its variables are not usable."""
        values, home = variables.moved(variables.read()), data_directories.of_checkout(CHECKOUT)
        ours = frozenset(pids_of(home))
        ports = port_allocation.choose(home, values, ours)
        return cls(home, variables.resolve(values, variables.ADDRESSES, ports, home / "state"))

    @classmethod
    def as_started(cls) -> "Stack":
        """The checkout's own stack as it was last started, whatever .env says now."""
        home = data_directories.of_checkout(CHECKOUT)
        return cls.at(home) if (home / ENV_FILE).exists() else cls.of_checkout()

    @classmethod
    def at(cls, home: Path) -> "Stack":
        """The stack of a home directory as it was last started."""
        # a process that was added to topology.yml since then has no port there
        return cls(home, TOPOLOGY.defaults() | variables.parse(home / ENV_FILE))

    def pm2(self, *arguments: str) -> Result:
        """Call PM2 as ./stack pm2 does; a failure is in the result's `returncode`."""
        return self.process_manager.run(*arguments)

    def servers(self) -> dict[str, Server]:
        """The servers by their names in reports."""
        named: dict[str, Server] = {f"postgresql-{s}": p for s, p in self.postgres.items()}
        return {**named, "rabbitmq": self.rabbitmq, "redis": self.redis}

    def pids(self) -> list[int]:
        """All processes of the stack."""
        return pids_of(self.home)

    def address(self, process: Process) -> str:
        """The HTTP address of a process."""
        host, port = self.variables[process.bind_variable], self.variables[process.port_variable]
        return f"http://{host}:{port}"

    def is_ready(self, process: Process) -> bool:
        """Whether the process answers under its own name that it is ready."""
        return self.checks(process) is not None

    def checks(self, process: Process) -> Mapping[str, object] | None:
        """What a process says of its single checks; None unless it is ready."""
        try:
            answer = requests.get(f"{self.address(process)}/ready", timeout=5)
            body = answer.json() if answer.status_code == 200 else None
        except requests.RequestException:
            return None
        if not isinstance(body, dict) or body.get("process") != process.name:
            return None
        checks: Mapping[str, object] = body.get("checks", {})
        return checks

    def _postgres(self, service: str) -> Postgres:
        port = int(self.variables[f"{service.upper()}_DB_PORT"])
        return Postgres(self.home / "postgresql" / service, host=LOOPBACK, port=port)

    def _rabbitmq(self) -> RabbitMQ:
        names = ("user", "password", "vhost", "queue")
        return RabbitMQ(
            self.home / "rabbitmq",
            host=self.variables["RABBITMQ_HOST"],
            port=int(self.variables["RABBITMQ_PORT"]),
            management_port=int(self.variables["RABBITMQ_MANAGEMENT_PORT"]),
            **{name: self.variables[f"RABBITMQ_{name.upper()}"] for name in names},
        )


def pids_of(home: Path) -> list[int]:
    """The processes that run in `home` or were started by the PM2 of this home."""
    return sorted({*processes.within(home.resolve()), *processes.started_by_pm2(home / "pm2")})
