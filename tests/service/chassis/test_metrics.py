"""The metrics of a served service."""

import shutil
from collections.abc import Callable
from pathlib import Path

import requests

from chassis.settings import DatabaseSettings
from tests.support.served import SECONDS, gateway_variables, serving
from tools.stack.waiting import wait_until


def test_metrics_come_back_after_their_directory_was_removed(
    database_settings: Callable[[str], DatabaseSettings], tmp_path: Path
) -> None:
    with serving("gateway", gateway_variables(database_settings("gateway")), tmp_path) as gateway:

        def counted() -> bool:
            answer = requests.get(f"{gateway.url}/metrics", timeout=SECONDS)
            assert answer.status_code == 200
            return 'route="/live"' in answer.text

        def answers() -> bool:
            return requests.get(f"{gateway.url}/live", timeout=SECONDS).ok and counted()

        assert answers()
        directory = tmp_path / "state" / "gateway" / "metrics"
        shutil.rmtree(directory)
        wait_until(answers, SECONDS, "the metrics")
        assert list(directory.glob("histogram_*.db"))
