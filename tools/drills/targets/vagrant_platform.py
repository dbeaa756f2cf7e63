"""Breaks the platform of `vagrant up`: over SSH, and by halting machines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from chassis.topology import RABBITMQ, REDIS, Machine
from tools.drills.messages import Message, publish
from tools.drills.targets import machine_commands as commands
from tools.drills.targets.machine_disk import machine_with_small_disk
from tools.drills.targets.platform import MAINTENANCE, FullDisk, Unsuitable, disconnect, read_only
from tools.drills.targets.vagrant import CommandError, Vagrant
from tools.drills.targets.vagrant_source import VagrantSource, machine, service_of
from tools.stack import variables
from tools.stack.errors import StackError
from tools.stack.layout import LOOPBACK, SERVICES, TOPOLOGY
from tools.stack.waiting import wait_until

# the limit of provisioning/rabbitmq/rabbitmq.conf, and one that is larger than any disk
LIMIT, NEVER_MET = "512MB", "1000000000000000"
BROKER = TOPOLOGY.machines_with(RABBITMQ)[0].name
# the error of tc with a kernel without netem
NO_NETEM = "qdisc kind is unknown"
WHOLE_SECONDS = 120


class VagrantPlatform(VagrantSource):
    """Acts on the machines of the checkout."""

    def __init__(self, vagrant: Vagrant, values: Mapping[str, str]) -> None:
        self.url = f"http://{LOOPBACK}:{values['GATEWAY_FORWARDED_PORT']}"
        self.token = values["API_TOKEN"]
        super().__init__(vagrant, values)

    @classmethod
    def of_checkout(cls) -> "VagrantPlatform":
        """The machines of this checkout. Raises StackError if its variables are invalid."""
        return cls(Vagrant(), variables.read())

    def check(self) -> None:
        """Raise StackError unless all machines and processes are up."""
        if not self.is_healthy():
            raise StackError("The machines are not up, or not whole: vagrant up, vagrant status.")

    def stop_process(self, name: str) -> None:
        """Stop a process with PM2."""
        self._on(name, commands.process("stop", name))

    def start_process(self, name: str) -> None:
        """Start a stopped process with PM2."""
        self._on(name, commands.process("start", name))

    def kill_process(self, name: str) -> None:
        """Kill a process (-9) if it runs."""
        self._on(name, commands.kill(name))

    def freeze_process(self, name: str) -> None:
        """SIGSTOP a process and its children."""
        self._on(name, commands.freeze(name))

    def thaw_process(self, name: str) -> None:
        """SIGCONT a frozen process and its children."""
        self._on(name, commands.thaw(name))

    def freeze_pm2(self) -> None:
        """SIGSTOP PM2 itself, on every machine; its processes keep running."""
        self._on_each(lambda _service: commands.freeze_pm2())

    def thaw_pm2(self) -> None:
        """SIGCONT PM2."""
        self._on_each(lambda _service: commands.thaw_pm2())

    def act_on_server(self, action: str, name: str) -> None:
        """Stop, start, restart or kill (-9) a server."""
        self._on(name, commands.server(action, name))

    def disconnect_database(self, service: str) -> None:
        """Terminate all connections to a service's database."""
        self.rows(service, disconnect())

    def set_read_only(self, service: str, on: bool) -> None:
        """Make a service's database read-only, or writable again; its sessions end."""
        statement = read_only(self._values[f"{service.upper()}_DB_NAME"], on)
        self._vagrant.ssh(machine(service), commands.query(MAINTENANCE), statement)
        self.disconnect_database(service)

    def disconnect_broker(self) -> None:
        """Close all AMQP connections, over the management API."""
        self._management.close_connections()

    def alarm_broker(self, on: bool) -> None:
        """Raise RabbitMQ's disk limit above the free space, or restore it."""
        self._vagrant.ssh(BROKER, commands.disk_limit(NEVER_MET if on else LIMIT))

    def stop_queues(self) -> None:
        """End RabbitMQ's quorum queues, as a full disk may; the broker keeps running."""
        self._vagrant.ssh(BROKER, commands.stop_queues())

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages into their queues, without the gateway. Raises StackError."""
        with self._vagrant.tunnel(BROKER, self.port("rabbitmq")) as port:
            vhost, credentials = self._values["RABBITMQ_VHOST"], self.credentials
            publish((LOOPBACK, port), vhost, credentials, messages)

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange with its bindings, over the management API."""
        self._management.delete_exchange(exchange)

    def purge(self, queue: str) -> None:
        """Purge a queue."""
        self._management.purge(queue)

    def command(self, service: str, *words: str) -> str:
        """Run a command of a service; return its output. Raises StackError."""
        return self._vagrant.ssh(machine(service), " ".join(["crud-master", service, *words]))

    @contextmanager
    def disturb(self, effect: str, target: str) -> Iterator[None]:
        """Disturb (`cut`, `delayed`, `lossy`) the network to a target. Raises Unsuitable."""
        address = self._values[TOPOLOGY.machine(machine(service_of(target))).address.name]
        try:
            self._on(target, commands.disturbing(effect, address, self.port(target)))
        except CommandError as error:
            if NO_NETEM not in str(error):
                raise
            raise Unsuitable(f"the machine can't do that: {error}") from None
        try:
            yield
        finally:
            self._on(target, commands.calming(address))

    def restart_all(self) -> None:
        """Restart every server and every process at once."""
        self._on_each(lambda machine: commands.restarting(machine.role.servers))

    def full_disk(self, server: str) -> AbstractContextManager[FullDisk]:
        """Return these machines with a server's data on a small file system. Raises Unsuitable."""
        return machine_with_small_disk(self, self._vagrant, machine(service_of(server)), server)

    def machines(self) -> Sequence[str]:
        """The machines, by their names."""
        return [machine.name for machine in TOPOLOGY.machines]

    def halt(self, machine: str) -> None:
        """Halt a machine."""
        self._vagrant.run("halt", machine)

    def boot(self, machine: str) -> None:
        """Start a machine, and return when it is up."""
        self._vagrant.run("up", machine)

    def repair(self) -> None:
        """Undo what an interrupted drill may have left, and wait until everything is ready."""
        self._vagrant.run("up")
        self._on_each(self._repairing)
        for service in SERVICES:
            self.set_read_only(service, False)
        wait_until(self.is_healthy, WHOLE_SECONDS, "the machines to be whole again", poll=1)

    def keep_logs(self, directory: Path, began: float, ended: float) -> None:
        """Write the lines of all logs since the start of a window into `directory`."""
        for name in self.machines():
            text = self._vagrant.ssh(name, commands.logs(began))
            (directory / f"{name}.log").write_text(text)

    def _repairing(self, machine: Machine) -> str:
        names = [process.name for process in machine.role.processes]
        # first, since PM2 answers nothing while it is frozen
        steps = [commands.thaw_pm2(), commands.calming(self._values[machine.address.name])]
        steps += [f"({commands.thaw(name)} || true)" for name in names]
        steps += [commands.server("start", f"postgresql-{machine.role.name}")]
        if RABBITMQ in machine.role.servers:
            steps += [commands.server("start", "rabbitmq"), commands.disk_limit(LIMIT)]
        if REDIS in machine.role.servers:
            steps += [commands.server("thaw", "redis"), commands.server("start", "redis")]
        return "; ".join([*steps, *(commands.process("start", name) for name in names)])

    def _on(self, target: str, command: str) -> None:
        self._vagrant.ssh(machine(service_of(target)), command)

    def _on_each(self, command: Callable[[Machine], str]) -> None:
        machines = TOPOLOGY.machines
        with ThreadPoolExecutor(len(machines)) as pool:
            list(pool.map(lambda m: self._vagrant.ssh(m.name, command(m)), machines))
