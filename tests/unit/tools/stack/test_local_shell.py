"""./stack itself, before it hands over to Python."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.stack.layout import CHECKOUT

NOBODY = 65534
COMMANDS = (
    "up",
    "install",
    "test",
    "down",
    "status",
    "psql gateway",
    "pm2 list",
    "server stop x",
    "seed",
    "drill --list",
    "import x",
    "postman",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of ./stack and what it sources."""
    shutil.copy(CHECKOUT / "stack", tmp_path)
    shutil.copytree(CHECKOUT / "provisioning" / "lib", tmp_path / "provisioning" / "lib")
    return tmp_path


def install_python(checkout: Path, script: str) -> None:
    """Put a program in the place of the installed Python, with the stamp of its packages."""
    python = checkout / ".stack" / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    lock = checkout / "requirements.lock"
    lock.write_text("")
    stamp = '. provisioning/lib/python.sh; stamp_of "$1" >.stack/venv/requirements.lock.installed'
    subprocess.run(["bash", "-c", stamp, "bash", lock], cwd=checkout, check=True)


def run(command: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command and return what it said."""
    return subprocess.run([command, *words], capture_output=True, text=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_the_state_of_another_user(checkout: Path, command: str) -> None:
    (checkout / ".stack").mkdir()
    os.chown(checkout / ".stack", NOBODY, NOBODY)
    done = run(checkout / "stack", *command.split())
    assert done.returncode == 1
    assert done.stderr.startswith(f"{checkout}/.stack belongs to another user: ")
    assert done.stderr.count("\n") == 1
    assert list((checkout / ".stack").iterdir()) == []


def test_a_file_to_import_is_relative_to_the_callers_directory(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    install_python(checkout, 'pwd\nprintf "%s\\n" "$@"')
    here = tmp_path_factory.mktemp("somewhere else")
    command = [str(checkout / "stack"), "import", "--dry-run", "my orders.csv"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    words = ["-m", "tools.stack", "run", "orders", "import", "--dry-run", f"{here}/my orders.csv"]
    assert done.stdout.splitlines() == [str(checkout), *words]


@pytest.mark.parametrize("words", [["--report", "a b.html"], ["--report=a b.html"]])
def test_a_report_is_written_relative_to_the_callers_directory(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    install_python(checkout, 'printf "%s\\n" "$@"')
    here = tmp_path_factory.mktemp("somewhere else")
    command = [str(checkout / "stack"), "drill", "broker-killed", *words]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    expected = ["-m", "tools.stack", "drill", "broker-killed", "--report", f"{here}/a b.html"]
    assert done.stdout.splitlines() == expected


def test_packages_of_another_version_are_renewed_first(checkout: Path) -> None:
    install_python(checkout, "echo started")
    (checkout / "requirements.lock").write_text("click==9\n")
    done = run(checkout / "stack", "down")
    assert (done.returncode, done.stdout) == (1, "")
    assert "./stack install renews them" in done.stderr


def test_a_link_leads_to_the_checkout(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    link = tmp_path_factory.mktemp("bin") / "stack"
    link.symlink_to(checkout / "stack")
    done = run(link, "status")
    assert done.stderr == "Nothing is installed yet: ./stack up does it.\n"


@pytest.mark.parametrize("failing", ["nothing", "tests/unit", "tests/long"])
def test_long_tests_follow_those_of_properties_which_may_fail(checkout: Path, failing: str) -> None:
    install_python(checkout, f'echo "$@"\ncase "$*" in *{failing}*) exit 1 ;; esac')
    stamp_everything(checkout)
    done = run(checkout / "stack", "test", "--long")
    first, second = done.stdout.splitlines()
    assert first.startswith("-m pytest tests/service tests/unit ")
    assert second == "-m pytest tests/long"
    assert done.returncode == int(failing != "nothing")


def stamp_everything(checkout: Path) -> None:
    """Stamp the packages of Node.js and the test tools as installed."""
    stamps = {"requirements-dev.lock": ".stack/venv/requirements-dev.lock.installed"}
    for source in ("provisioning/pm2", "provisioning/swagger-ui", "tools/postman"):
        stamps[f"{source}/package-lock.json"] = f".stack/{Path(source).name}/installed"
    stamp = '. provisioning/lib/python.sh; stamp_of "$1" >"$2"'
    for source, installed in stamps.items():
        lock = checkout / source
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text("")
        (checkout / installed).parent.mkdir(parents=True, exist_ok=True)
        command = ["bash", "-c", stamp, "bash", str(lock), installed]
        subprocess.run(command, cwd=checkout, check=True)
