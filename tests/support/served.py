"""Services as separate processes, served by granian, and clients that use sockets."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests
from pydantic import SecretStr

from chassis.settings import BrokerSettings, DatabaseSettings
from tests.support.process import ROOT, broker_variables, database_variables
from tests.support.servers import DATABASES
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until

API_TOKEN = "bootstrap-token-of-the-tests!"
SECONDS = 60.0
READ_LIMIT_IS_SET = "answers have to be read"
"""What a service logs once an answer that nobody reads ends its connection."""


@dataclass(frozen=True)
class Reply:
    """The bytes received on a connection, and whether the other side closed it."""

    data: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        """The final statuses of all answers, in order."""
        found = re.findall(rb"HTTP/1\.[01] ([2-5]\d\d) ", self.data)
        return [int(status) for status in found]

    @property
    def head(self) -> bytes:
        """The first answer's status line and headers, in lower case."""
        return self.data.partition(b"\r\n\r\n")[0].lower()


@dataclass
class Served:
    """A service that listens on 127.0.0.1."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self, seconds: float = SECONDS) -> socket.socket:
        """Open a connection whose operations time out after so many seconds."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def ask(self, request: bytes) -> Reply:
        """Send a request and read its answer."""
        with self.connect() as connection:
            with suppress(ConnectionError):
                connection.sendall(request)
            return answered(connection)

    def exchange(self, *parts: bytes, end: bool = False, patience: float = SECONDS) -> Reply:
        """Send bytes and read until the other side closes or is silent for `patience` seconds.

        `end` closes the sending side after the last byte.
        """
        with self.connect(patience) as connection:
            with suppress(ConnectionError):
                for part in parts:
                    connection.sendall(part)
            if end:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
            return received(connection)


def answered(connection: socket.socket) -> Reply:
    """Read one answer with a length; the other side need not close."""
    data = b""
    while not _is_whole(data):
        part = connection.recv(65536)
        if not part:
            return Reply(data, closed=True)
        data += part
    return Reply(data, closed=False)


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
    return bool(end) and length is not None and len(body) >= int(length[1])


def received(connection: socket.socket) -> Reply:
    """Read until the other side closes."""
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except TimeoutError:
        return Reply(data, closed=False)
    except ConnectionError:
        return Reply(data, closed=True)
    return Reply(data, closed=True)


@contextmanager
def serving(
    service: str, variables: Mapping[str, str], home: Path, stdout: int | None = None
) -> Iterator[Served]:
    """Serve a service for a block, as PM2 would; it logs to `stdout` or, without one, to a file."""
    port, log = free_port(), home / f"{service}.log"
    name = service.upper() if service == "gateway" else f"{service.upper()}_API"
    own = {"PATH": os.environ["PATH"], "STATE_DIR": str(home / "state"), f"{name}_PORT": str(port)}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", service, "serve"],
            cwd=ROOT,
            env={**own, f"{service.upper()}_BIND": "127.0.0.1", **variables},
            stdout=output if stdout is None else stdout,
            stderr=output,
        )
    served = Served(port, log, process)
    try:
        wait_until(lambda: _answers(served), SECONDS, f"{service} to answer: {log.read_text()}")
        yield served
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            process.kill()  # one that has not ended; of another this is nothing


def _answers(served: Served) -> bool:
    assert served.process.poll() is None, served.log.read_text()
    with suppress(requests.RequestException):
        return requests.get(f"{served.url}/live", timeout=5).status_code == 200
    return False


def gateway_variables(database: DatabaseSettings, **upstreams: int) -> dict[str, str]:
    """The gateway's variables, with upstreams at these ports; nothing else is available."""
    ports = {name: free_port() for name in ("inventory", "billing", "customers", "orders")}
    places = {f"{n.upper()}_API_PORT": str(port) for n, port in (ports | upstreams).items()}
    addresses = {f"{name}_VM_IP": "127.0.0.1" for name in map(str.upper, DATABASES)}
    names = {f"{name.upper()}_DB_NAME": database for name, (database, _) in DATABASES.items()}
    return {
        **names,
        **database_variables("gateway", database),
        **places,
        **addresses,
        **no_broker(),
        "API_TOKEN": API_TOKEN,
    }


def inventory_variables(database: DatabaseSettings) -> dict[str, str]:
    """Inventory's variables; its broker is unavailable."""
    return {
        **database_variables("inventory", database),
        **no_broker(),
        "BILLING_VM_IP": "127.0.0.1",
    }


def no_broker() -> dict[str, str]:
    return broker_variables(
        BrokerSettings(
            host="127.0.0.1",
            port=free_port(),
            user="nobody",
            password=SecretStr("nothing"),
            vhost="nowhere",
            queue="billing_queue",
        )
    )
