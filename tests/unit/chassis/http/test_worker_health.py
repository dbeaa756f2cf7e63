"""The port for health of a process without an API: which one it is, and until when."""

from contextlib import ExitStack

import pytest
import requests

from chassis.http import worker_process
from chassis.http.worker_process import serving_health
from chassis.settings import PortSettings
from tests.support.settings import SERVER, port
from tools.stack.waiting import wait_until

SECONDS = 30


def is_live(number: int) -> bool:
    """Whether something that is live listens there."""
    try:
        return requests.get(f"http://127.0.0.1:{number}/live", timeout=SECONDS).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.fixture
def own() -> PortSettings:
    """The port of the process."""
    return port()


def test_health_is_served_until_the_block_ends(own: PortSettings) -> None:
    # twice, as the port has to be free again
    for _ in range(2):
        with serving_health("test", [], SERVER, own):
            wait_until(lambda: is_live(own.port), SECONDS, "its health")
        assert not is_live(own.port)


def test_a_further_instance_moves_to_the_port_of_one_that_has_ended(
    own: PortSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "_MOVE_SECONDS", 0.05)
    later = range(own.port + 1, own.port + 16)
    with ExitStack() as first:
        first.enter_context(serving_health("test", [], SERVER, own))
        wait_until(lambda: is_live(own.port), SECONDS, "the first one's health")
        with serving_health("test", [], SERVER, own):
            wait_until(lambda: any(map(is_live, later)), SECONDS, "the second one's health")
            first.close()
            wait_until(lambda: is_live(own.port), SECONDS, "the second one to move")


def test_a_process_without_a_port_ends_all_the_same(
    own: PortSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "_listen", lambda _host, _ports: None)
    with serving_health("test", [], SERVER, own):
        assert not is_live(own.port)
