"""A process of a service as PM2 would run it, on the tests' servers."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import requests

from chassis.settings import BrokerSettings, DatabaseSettings, ServerSettings

ROOT = Path(__file__).parents[2]
SECONDS = 90.0


class Settings(Protocol):
    """The settings that all services have."""

    @property
    def server(self) -> ServerSettings: ...
    @property
    def database(self) -> DatabaseSettings: ...
    @property
    def broker(self) -> BrokerSettings: ...


def database_variables(service: str, settings: DatabaseSettings) -> dict[str, str]:
    """The variables of a service's database."""
    prefix = f"{service.upper()}_DB_"
    return {
        f"{prefix}HOST": settings.host,
        f"{prefix}PORT": str(settings.port),
        f"{prefix}NAME": settings.name,
        f"{prefix}USER": settings.user,
        f"{prefix}PASSWORD": settings.password.get_secret_value(),
    }


def broker_variables(settings: BrokerSettings) -> dict[str, str]:
    """The variables of the broker."""
    return {
        "RABBITMQ_HOST": settings.host,
        "RABBITMQ_PORT": str(settings.port),
        "RABBITMQ_USER": settings.user,
        "RABBITMQ_PASSWORD": settings.password.get_secret_value(),
        "RABBITMQ_VHOST": settings.vhost,
        "RABBITMQ_QUEUE": settings.queue,
    }


def environment(service: str, settings: Settings, home: Path, **more: object) -> dict[str, str]:
    """The environment of a service's processes; `more` are further variables, such as ports."""
    prefix = service.upper()
    return {
        "PATH": os.environ["PATH"],
        "STATE_DIR": str(home / "state"),
        f"{prefix}_BIND": settings.server.bind,
        f"{prefix}_WORKERS": "1",
        **database_variables(service, settings.database),
        **broker_variables(settings.broker),
        **{name: str(value) for name, value in more.items()},
    }


class Process:
    """A process that is not started yet."""

    def __init__(
        self, service: str, command: str, environment: dict[str, str], home: Path, port: int
    ) -> None:
        self.url = f"http://{environment[f'{service.upper()}_BIND']}:{port}"
        self._command = [sys.executable, "-m", service, command]
        self._environment = {**environment, "PYTHONFAULTHANDLER": "1"}
        self._log = home / f"{command}-{uuid4().hex}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it writes its log into a file."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=ROOT, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        """Its id while it runs."""
        assert self._process is not None
        return self._process.pid

    def end(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """End it, if it runs, and return its exit status."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            # with faulthandler, its log then shows the stack of each thread
            process.send_signal(signal.SIGABRT)
            process.wait()
            print(self.log()[-20_000:])
            raise

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.end(signal.SIGKILL)

    def request(self, method: str, path: str, body: object = None) -> requests.Response | None:
        """Send it a request; None if it gives no answer."""
        try:
            return requests.request(method, self.url + path, json=body, timeout=15)
        except requests.RequestException:
            return None

    def is_ready(self) -> bool:
        """Whether its `/ready` passes."""
        response = self.request("GET", "/ready")
        return response is not None and response.status_code == 200

    def log(self) -> str:
        """Its log so far."""
        return self._log.read_text() if self._log.exists() else ""

    def logged(self) -> list[dict[str, Any]]:
        """Its log so far, parsed line by line."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
