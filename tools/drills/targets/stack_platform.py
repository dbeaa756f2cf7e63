"""The platform of ./stack, for faults to act on."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tools.drills.messages import Message, publish
from tools.drills.report import artifacts
from tools.drills.targets import full_disk
from tools.drills.targets.network import Network
from tools.drills.targets.platform import MAINTENANCE, READ_ONLY, FullDisk, disconnect, read_only
from tools.drills.targets.stack_source import StackSource
from tools.stack import lifecycle, process_lookup, processes
from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT, PROCESSES
from tools.stack.servers.management import Management
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

# RabbitMQ's default; more than any disk has
LIMIT, NEVER_MET = "50000000", "1000000000000000"


class StackPlatform(StackSource):
    """Acts on a running stack of this machine."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.url = stack.url
        self.token = stack.variables["API_TOKEN"]
        self._pm2 = stack.process_manager
        broker = stack.rabbitmq
        address = f"http://{broker.host}:{broker.management_port}"
        self._management = Management(address, broker.credentials, broker.vhost)
        self._network = Network(f"crud_master_drill_{stack.variables['GATEWAY_PORT']}")

    def check(self) -> None:
        """Undo what a killed drill has left; raise StackError if the stack is not healthy then."""
        self._undo()
        if not self.is_healthy():
            raise StackError("The stack does not run, or not all of it: ./stack up starts it.")

    def stop_process(self, name: str) -> None:
        """Have PM2 stop a process."""
        self._pm2.call("stop", name)

    def start_process(self, name: str) -> None:
        """Have PM2 start a process that was stopped."""
        self._pm2.call("start", name)

    def kill_process(self, name: str) -> None:
        """Kill -9 a process, if it runs."""
        processes.signal_all([process_lookup.pid(self.stack, name)], signal.SIGKILL)

    def freeze_process(self, name: str) -> None:
        """SIGSTOP a process and its children."""
        processes.freeze(processes.family(process_lookup.pid(self.stack, name)))

    def thaw_process(self, name: str) -> None:
        """SIGCONT a process and its children."""
        processes.thaw(processes.family(process_lookup.pid(self.stack, name)))

    def freeze_pm2(self) -> None:
        """SIGSTOP PM2 itself; its processes keep running."""
        processes.freeze(self._pm2.daemons())

    def thaw_pm2(self) -> None:
        """SIGCONT PM2."""
        processes.thaw(self._pm2.daemons())

    def act_on_server(self, action: str, name: str) -> None:
        """Stop, start, restart or kill (-9) a server."""
        getattr(self.stack.servers()[name], action)()

    def disconnect_database(self, service: str) -> None:
        """Terminate all connections to a service's database."""
        self.rows(service, disconnect())

    def set_read_only(self, service: str, on: bool) -> None:
        """Make a service's database read-only, or writable again; its sessions end."""
        database = self.stack.variables[f"{service.upper()}_DB_NAME"]
        self.execute(service, read_only(database, on), MAINTENANCE)
        self.disconnect_database(service)

    def disconnect_broker(self) -> None:
        """Close all AMQP connections, over the management API."""
        self._management.close_connections()

    def alarm_broker(self, on: bool) -> None:
        """Make RabbitMQ believe that its disk is full, or no longer."""
        self.stack.rabbitmq.control("set_disk_free_limit", NEVER_MET if on else LIMIT)

    def stop_queues(self) -> None:
        """Stop RabbitMQ's quorum queues, as a full disk may, while the broker keeps running."""
        self.stack.rabbitmq.stop_queues()

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages to their queues directly. Raises StackError."""
        broker = self.stack.rabbitmq
        publish((broker.host, broker.port), broker.vhost, broker.credentials, messages)

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange with its bindings, over the management API."""
        self._management.delete_exchange(exchange)

    def purge(self, queue: str) -> None:
        """Delete the messages of a queue."""
        self._management.purge(queue)

    def command(self, service: str, *words: str) -> str:
        """Run a command of a service and return its output. Raises StackError."""
        done = subprocess.run(
            [sys.executable, "-m", service, *words],
            cwd=CHECKOUT,
            env=self._pm2.environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise StackError(f"{service} {' '.join(words[:2])} failed: {done.stderr.strip()}")
        return done.stdout

    def disturb(self, effect: str, target: str) -> AbstractContextManager[None]:
        """`cut`, `delayed` or `lossy` network to a process or to rabbitmq. Raises Unsuitable."""
        return self._network.disturbed(effect, self._address(target))

    def restart_all(self) -> None:
        """Restart every server and every process at once."""
        acts: list[Callable[[], object]] = [s.restart for s in self.stack.servers().values()]
        acts.append(partial(self._pm2.call, "restart", "all"))
        with ThreadPoolExecutor(len(acts)) as pool:
            list(pool.map(lambda act: act(), acts))

    def full_disk(self, server: str) -> AbstractContextManager[FullDisk]:
        """A separate stack whose `server` has its data on a small file system."""
        return full_disk.stack_with_small_disk(server, StackPlatform)

    def machines(self) -> Sequence[str]:
        """None: everything runs on this machine."""
        return ()

    def halt(self, machine: str) -> None:
        """There is no machine to halt."""
        raise StackError(f"There is no {machine} here.")

    boot = halt

    def repair(self) -> None:
        """Undo everything that an interrupted drill may have left, and wait until all is ready."""
        self._undo()
        lifecycle.up(self.stack)
        wait_until(self.is_healthy, 60, "the stack to be healthy again", poll=0.5)

    def keep_logs(self, directory: Path, began: float, ended: float) -> None:
        """Write all logs of a window (seconds since 1970) into `directory`."""
        artifacts.keep_window(self._pm2.logs, directory, began, ended)
        for name, server in self.stack.servers().items():
            files = [server.home / "server.log", *sorted((server.home / "log").glob("*.log"))]
            artifacts.keep_ends(name, files, directory)

    def _undo(self) -> None:
        self._network.calm()
        processes.thaw(self._pm2.pids())
        self.stack.redis.thaw()
        if self.stack.rabbitmq.running():
            self.alarm_broker(False)
        for service, server in self.stack.postgres.items():
            if server.running() and server.is_ready() and self._is_read_only(service):
                self.set_read_only(service, False)

    def _is_read_only(self, service: str) -> bool:
        [row] = self.rows(service, f"SELECT current_setting('{READ_ONLY}') AS it")
        return bool(row["it"] == "on")

    def _address(self, target: str) -> tuple[str, int]:
        if target == "rabbitmq":
            return self.stack.rabbitmq.host, self.stack.rabbitmq.port
        process = next(process for process in PROCESSES if process.name == target)
        variables = self.stack.variables
        return variables[process.bind_variable], int(variables[process.port_variable])
