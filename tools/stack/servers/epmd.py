"""A private Erlang port mapper (epmd), so that the broker does not use the machine's."""

import os
import signal
from pathlib import Path

from tools.stack import ports
from tools.stack.servers.daemon import Daemon
from tools.stack.waiting import wait_until

HOST = "127.0.0.1"


class Epmd:
    """The port mapper of one broker, in the foreground mode of Erlang's program."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._port_file = home / "epmd.port"
        self._daemon = Daemon("epmd", home, home / "epmd.pid", home / "epmd.log")

    def environment(self) -> dict[str, str]:
        """The variables that make Erlang's programs use this one; valid once it was started."""
        return {"ERL_EPMD_ADDRESS": HOST, "ERL_EPMD_PORT": self._port_file.read_text()}

    def start(self) -> None:
        """Start it on a free port, unless it runs, and wait until it answers."""
        if self.running():
            return
        port = ports.free_port(HOST)
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._port_file.write_text(str(port))
        self._daemon.start(["epmd", "-address", HOST, "-port", str(port)], {"PATH": os.defpath})
        wait_until(lambda: ports.accepts(port, HOST), 10, "Erlang's epmd to answer")

    def stop(self) -> None:
        """Stop it, if it runs."""
        self._daemon.end(signal.SIGKILL)

    def running(self) -> bool:
        """Whether it runs."""
        return self._daemon.running()

    def pids(self) -> list[int]:
        """Its process id in a list, which is empty if it does not run."""
        return self._daemon.family()
