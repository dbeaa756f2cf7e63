"""Reads databases, the Maildir, queues and processes of machines over SSH, for the checker."""

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chassis.topology import RABBITMQ, REDIS, Machine
from tools.drills.targets import machine_commands as commands
from tools.drills.targets.platform import Row, as_json
from tools.drills.targets.vagrant import Vagrant
from tools.stack.errors import StackError
from tools.stack.layout import LOOPBACK, TOPOLOGY
from tools.stack.servers.management import Management


class VagrantSource:
    """Reads the machines of a project; `values` are its variables."""

    def __init__(self, vagrant: Vagrant, values: Mapping[str, str]) -> None:
        self._vagrant = vagrant
        self._values = values
        self.credentials = values["RABBITMQ_USER"], values["RABBITMQ_PASSWORD"]
        self._management = Management(
            f"http://{LOOPBACK}:{values['RABBITMQ_FORWARDED_PORT']}",
            self.credentials,
            values["RABBITMQ_VHOST"],
        )

    def is_healthy(self) -> bool:
        """Whether all processes of all machines are up."""
        with ThreadPoolExecutor(len(TOPOLOGY.machines)) as pool:
            return all(pool.map(self._runs, TOPOLOGY.machines))

    def orphans(self) -> list[str]:
        """Processes of the services' account that outlived their parents."""
        found = [self._vagrant.ssh(m.name, commands.orphans()) for m in TOPOLOGY.machines]
        return [line for answer in found for line in answer.splitlines() if " PM2" not in line]

    def rows(self, service: str, select: str) -> list[Row]:
        """The output of a statement in a service's database. Raises StackError."""
        database = self._values[f"{service.upper()}_DB_NAME"]
        answer = self._vagrant.ssh(machine(service), commands.query(database), as_json(select))
        rows: list[Row] = json.loads(answer)
        return rows

    def mails(self) -> Counter[str]:
        """The names of the mails in the Maildir of orders."""
        names = self._vagrant.ssh(machine("orders"), commands.mails()).splitlines()
        return Counter(name.partition(":")[0] for name in names)

    def depths(self) -> Mapping[str, int]:
        """The number of messages in each queue; the figures are up to 5 s old."""
        return self._management.depths()

    def port(self, target: str) -> int:
        """The port of a process or of rabbitmq."""
        if target == RABBITMQ:
            return int(self._values["RABBITMQ_PORT"])
        return int(self._values[TOPOLOGY.process(target).port_variable])

    def _runs(self, machine: Machine) -> bool:
        try:
            answer = self._vagrant.ssh(machine.name, "pm2 jlist")
            entries: list[dict[str, Any]] = json.loads(answer[answer.index("[") :])
        except (StackError, ValueError):
            return False
        online = {e["name"] for e in entries if e["pm2_env"]["status"] == "online"}
        return online == {process.name for process in machine.role.processes}


def machine(service: str) -> str:
    """The first machine that runs a service."""
    return TOPOLOGY.machines_of(service)[0].name


def service_of(target: str) -> str:
    """The service that a process or server belongs to."""
    if target in (RABBITMQ, REDIS):
        return TOPOLOGY.machines_with(target)[0].role.name
    if target.startswith("postgresql-"):
        return target.removeprefix("postgresql-")
    return TOPOLOGY.process(target).service
