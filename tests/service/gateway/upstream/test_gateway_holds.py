"""The gateway as it is served, before a service that accepts requests and never answers them."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from chassis.http.upstream import IN_FLIGHT
from chassis.settings import BrokerSettings, DatabaseSettings
from chassis.storage.database import Database
from tests.support.process import broker_variables
from tests.support.raw_upstream import RawUpstream, silent
from tests.support.served import SECONDS, Served, gateway_variables, serving
from tools.stack.waiting import wait_until

WORKERS = 2
ALL = WORKERS * IN_FLIGHT
MOVIES = 20


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
    ports = {"customers": hanging.port, "inventory": quick.port}
    variables = gateway_variables(database_settings("gateway"), **ports)
    variables |= broker_variables(broker_settings) | {"GATEWAY_WORKERS": str(WORKERS)}
    with serving("gateway", variables, tmp_path) as gateway:
        wait_until(lambda: all_are_there(gateway), SECONDS, "all workers to serve")
        yield gateway.url


def all_are_there(gateway: Served) -> bool:
    """Whether each worker serves; the first that does answers for all."""
    log = gateway.log.read_text()
    return all(f'"Started worker-{number + 1}"' in log for number in range(WORKERS))


def test_while_one_service_hangs_no_request_for_another_waits(
    url: str, hanging: RawUpstream, quick: RawUpstream
) -> None:
    def ask(_number: int = 0) -> requests.Response:
        return requests.get(f"{url}/api/customers", timeout=60)

    with ThreadPoolExecutor(3 * ALL) as clients:
        asked: list[Future[requests.Response]] = []

        def all_are_taken() -> bool:
            # a connection each, which the kernel gives to one of the workers
            asked.extend(clients.submit(ask, number) for number in range(ALL // 4))
            return len(hanging.requests) == ALL

        wait_until(all_are_taken, 9, "all permits to be taken", poll=0.2)
        movies = [requests.get(f"{url}/api/movies", timeout=60) for _ in range(MOVIES)]
        # all of it while the others hang, ten seconds long: nothing has waited for one of them
        hung = ALL - sum(one.done() and one.result().status_code == 504 for one in asked)
        refused = ask()
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in movies} == {200}
    assert hung == ALL
    assert len(quick.requests) == MOVIES
    assert refused.status_code == 503
    assert refused.json()["cause"] in ("upstream_busy", "circuit_open")
    assert int(refused.headers["Retry-After"]) >= 1
    statuses = Counter(answer.status_code for answer in answers)
    assert (statuses[504], set(statuses)) == (ALL, {503, 504})
    assert len(hanging.requests) == ALL
