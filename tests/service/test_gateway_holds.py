"""The gateway as it is served, before a service that accepts requests and never answers them."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from chassis.database import Database
from chassis.settings import BrokerSettings, DatabaseSettings, PortSettings, Upstream
from gateway.settings import AuthSettings, GatewayServerSettings, Settings
from gateway.upstream import IN_FLIGHT
from local.ports import free_port
from local.waiting import wait_until
from tests.service.gateway import variables
from tests.service.raw_upstream import RawUpstream
from tests.service.test_upstream import silent

ROOT = Path(__file__).parents[2]
WORKERS = 2
ALL = WORKERS * IN_FLIGHT


@pytest.fixture
def hanging() -> Iterator[RawUpstream]:
    """A service that never answers."""
    server = RawUpstream([silent])
    yield server
    server.close()


@pytest.fixture
def quick() -> Iterator[RawUpstream]:
    """A service that answers at once."""
    server = RawUpstream()
    yield server
    server.close()


@pytest.fixture
def url(
    hanging: RawUpstream,
    quick: RawUpstream,
    gateway_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    broker_settings: BrokerSettings,
    tmp_path: Path,
) -> Iterator[str]:
    """The address of a gateway whose customers hang; as it is served, with its own defaults."""
    nowhere, place = Upstream("nowhere", "127.0.0.1", free_port()), PortSettings(port=free_port())
    server = GatewayServerSettings(bind="127.0.0.1", workers=WORKERS)
    upstreams = (nowhere, nowhere, nowhere, nowhere)
    database = database_settings("gateway")
    settings = Settings(server, place, place, database, broker_settings, *upstreams, AuthSettings())
    environment = variables(settings) | {
        "PATH": os.environ["PATH"],
        "STATE_DIR": str(tmp_path),
        "GATEWAY_PORT": str(place.port),
        "GATEWAY_WORKERS": str(WORKERS),
        "CUSTOMERS_API_PORT": str(hanging.port),
        "INVENTORY_API_PORT": str(quick.port),
    }
    command = [sys.executable, "-m", "gateway", "serve"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{place.port}"
    wait_until(lambda: _answers(f"{address}/live"), 60, "the gateway")
    yield address
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def test_while_one_service_hangs_no_request_for_another_waits(
    url: str, hanging: RawUpstream, quick: RawUpstream
) -> None:
    def ask(_number: int = 0) -> requests.Response:
        return requests.get(f"{url}/api/customers", timeout=60)

    with ThreadPoolExecutor(3 * ALL) as clients:
        asked: list[Future[requests.Response]] = []

        def all_are_taken() -> bool:
            # a connection each, which the kernel gives to one of the workers that are there by now
            asked.extend(clients.submit(ask, number) for number in range(ALL // 4))
            return len(hanging.requests) == ALL

        wait_until(all_are_taken, 9, "all permits to be taken", poll=0.2)
        movies = [requests.get(f"{url}/api/movies", timeout=60) for _ in range(100)]
        # all of it while the others hang, ten seconds long: nothing has waited for one of them
        hung = ALL - sum(one.done() and one.result().status_code == 504 for one in asked)
        refused = ask()
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in movies} == {200}
    assert hung == ALL
    assert len(quick.requests) == 100
    assert refused.status_code == 503
    assert refused.json()["cause"] in ("upstream_busy", "circuit_open")
    assert int(refused.headers["Retry-After"]) >= 1
    statuses = Counter(answer.status_code for answer in answers)
    assert (statuses[504], set(statuses)) == (ALL, {503, 504})
    assert len(hanging.requests) == ALL
