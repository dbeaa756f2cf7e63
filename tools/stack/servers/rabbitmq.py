"""A private RabbitMQ broker with its management API, in one home directory."""

import signal
import subprocess
from pathlib import Path

import requests

from provisioning.rabbitmq.former_users import former_users
from provisioning.rabbitmq.queues import dead_queues, listing_path
from tools.stack import ports
from tools.stack.errors import StackError
from tools.stack.servers.broker_home import BrokerHome
from tools.stack.servers.daemon import Daemon
from tools.stack.servers.epmd import Epmd
from tools.stack.servers.management import login
from tools.stack.waiting import wait_until

INSTALLED = Path("/usr/lib/rabbitmq")
START_SECONDS = 120.0
# stops the server of each quorum queue on this node; the queue is not deleted
STOP_QUEUES = """
[ok = ra:stop_server(quorum_queues, {Name, node()})
 || Queue <- rabbit_amqqueue:list(), amqqueue:get_type(Queue) == rabbit_quorum_queue,
    {Name, _} <- [amqqueue:get_pid(Queue)]].
"""


def installed_version() -> str:
    """The installed broker's version, such as "3.10.8". Raises StackError if there is none."""
    found = sorted(INSTALLED.glob("lib/rabbitmq_server-*"))
    if not found:
        raise StackError("RabbitMQ is not installed: run ./stack up, which installs it.")
    return found[-1].name.removeprefix("rabbitmq_server-")


class RabbitMQ:
    """One broker below `home`, on `host`, with one vhost, one user, its queues and exchanges."""

    def __init__(
        self,
        home: Path,
        *,
        host: str,
        port: int,
        management_port: int,
        user: str,
        password: str,
        vhost: str,
        queue: str,
    ) -> None:
        self.home = home
        self.host = host
        self.port = port
        self.management_port = management_port
        self.credentials = (user, password)
        self.vhost = vhost
        self.queue = queue
        self._files = BrokerHome(home, host, port, management_port)
        self._epmd = Epmd(home / "epmd")
        self._daemon = Daemon("RabbitMQ", home, home / "server.pid", home / "server.log")

    def start(self) -> None:
        """Start the broker, unless it runs; waits until AMQP, management API and all queues answer.

        Raises StackError when that takes too long.
        """
        renewed = False
        if not self.running():
            renewed = self._files.exist() and not self.is_current()
            self._files.write(self._variables(), installed_version())
            self._epmd.stop()
            self._epmd.start()
            command = [str(INSTALLED / "bin" / "rabbitmq-server"), "-noinput"]
            listen = {"RABBITMQ_DIST_PORT": str(ports.free_port())}
            self._daemon.start(command, self._environment() | listen)
        self._wait_until_ready()
        if renewed:
            self.remove_former_users()

    def stop(self) -> None:
        """Stop the broker gracefully, and its epmd, if they run."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End it like a power cut (SIGKILL)."""
        self._end(signal.SIGKILL)

    def running(self) -> bool:
        """Whether the broker's process runs."""
        return self._daemon.running()

    def is_current(self) -> bool:
        """Whether it was started as it would be started now."""
        return self._files.holds(self._variables(), installed_version())

    def pids(self) -> list[int]:
        """The broker, its helpers and its epmd."""
        return self._daemon.family() + self._epmd.pids()

    @property
    def definitions(self) -> Path:
        """The file with the definitions that it starts with."""
        return self._files.definitions

    def control(self, *arguments: str, text: str | None = None) -> str:
        """Run rabbitmqctl on the running broker and return its output.

        `text` is its standard input. Raises StackError with its message when it fails.
        """
        command = [str(INSTALLED / "bin" / "rabbitmqctl"), "-q", "-n", self._files.node, *arguments]
        done = subprocess.run(
            command,
            env=self._environment(),
            cwd=self.home,
            input=text or "",
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise StackError(f"rabbitmqctl {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def stop_queues(self) -> None:
        """Stop all quorum queues, as a full disk may, while everything else keeps running.

        Until a restart they accept and deliver nothing, though they can still be declared.
        """
        self.control("eval", STOP_QUEUES)

    def ask(self, path: str) -> requests.Response:
        """GET from the management API as the services' user. Raises requests.RequestException."""
        url = f"http://{self.host}:{self.management_port}{path}"
        return requests.get(url, auth=login(self.credentials), timeout=5)

    def remove_former_users(self) -> None:
        """Remove users of ours that RABBITMQ_USER no longer names; others stay."""
        listing = self.control("list_users", "--formatter", "json")
        for user in former_users(listing, self.credentials[0]):
            self.control("delete_user", user)

    def _wait_until_ready(self) -> None:
        try:
            wait_until(self.is_ready, START_SECONDS, "RabbitMQ and its queues to answer")
        except StackError as error:
            if not (dead := self.dead_queues()):
                raise
            raise StackError(
                f"{error} These queues are dead: {', '.join(dead)}. If ./stack up says so again, "
                "their messages are lost: delete the queues in RabbitMQ's management page, then "
                "./stack up declares them anew."
            ) from error

    def _end(self, sign: signal.Signals) -> None:
        self._daemon.end(sign)
        self._epmd.stop()

    def _environment(self) -> dict[str, str]:
        return self._files.environment() | self._epmd.environment()

    def _variables(self) -> dict[str, str]:
        user, password = self.credentials
        return {
            "RABBITMQ_USER": user,
            "RABBITMQ_PASSWORD": password,
            "RABBITMQ_VHOST": self.vhost,
            "RABBITMQ_QUEUE": self.queue,
        }

    def is_ready(self) -> bool:
        """Whether AMQP and the management API serve the user's vhost and no queue is dead.

        Raises StackError if it has ended.
        """
        self._daemon.check()
        return ports.accepts(self.port, self.host) and self._has_living_queues()

    def _has_living_queues(self) -> bool:
        dead = self.dead_queues()
        return dead is not None and not dead

    def dead_queues(self) -> list[str] | None:
        """The names of the dead queues; None if the broker does not answer."""
        try:
            answer = self.ask(listing_path(self.vhost))
        except requests.RequestException:
            return None
        return dead_queues(answer.text) if answer.status_code == 200 else None
