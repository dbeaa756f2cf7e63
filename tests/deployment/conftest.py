"""The machines, made from nothing by one `vagrant up` and destroyed at the end."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.passwords import ENV, PASSWORDS
from tests.deployment.platform import Platform
from tests.deployment.vagrant import Vagrant
from tools.stack.layout import CHECKOUT

USERS = {"RABBITMQ_USER": "rabbitmq_user"}


def pytest_configure(config: pytest.Config) -> None:
    """Leave at once where there is nothing to run these tests on."""
    if config.option.collectonly:
        return
    if shutil.which("vagrant") is None:
        pytest.exit("These tests need Vagrant, which is not installed.", returncode=2)
    done = subprocess.run(["vagrant", "status"], cwd=CHECKOUT, capture_output=True, text=True)
    if done.returncode:
        reason = " ".join((done.stdout + done.stderr).split())
        pytest.exit(f"These tests need Vagrant with a provider that works: {reason}", returncode=2)


@pytest.fixture(scope="session")
def vagrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vagrant]:
    """Vagrant on a copy of the checkout; its output is stored beside the other logs."""
    vagrant = Vagrant(tmp_path_factory.mktemp("crud-master"), ENV)
    try:
        yield vagrant
    finally:
        _keep(vagrant.output)
        vagrant.run("destroy", "--force", "--parallel")


@pytest.fixture(scope="session")
def platform(vagrant: Vagrant) -> Platform:
    """All machines, from nothing, by one command."""
    vagrant.run("up", seconds=1800)
    platform = Platform(vagrant, USERS | PASSWORDS)
    # each machine's own smoke test has passed
    assert platform.answers()
    platform.wait_until_whole()
    return platform


@pytest.fixture
def whole_again(platform: Platform) -> Iterator[None]:
    """Give the next test a whole platform, whatever this one did; for modules that disturb it."""
    yield
    platform.wait_until_whole()


def _keep(output: str) -> None:
    logs = CHECKOUT / ".stack"
    logs.mkdir(exist_ok=True)
    Path(logs / "deployment.log").write_text(output)
