"""How provisioning and ./stack install Python packages."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.stack.layout import CHECKOUT

TAKE = """
set -euo pipefail
source provisioning/lib/python.sh
take_pip_settings "$1"
env | grep -E '^(UV_|SSL_CERT_FILE=|ALL_PROXY=)' | sort
"""


def settings_of_uv(said_by_pip: str, **environment: str) -> list[str]:
    """What uv is told, where `pip config list` says this."""
    bare = {"PATH": os.environ["PATH"], **environment}
    command = ["bash", "-c", TAKE, "bash", said_by_pip]
    done = subprocess.run(command, cwd=CHECKOUT, env=bare, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (
            "global.index-url='https://pypi.example/simple'",
            "UV_DEFAULT_INDEX=https://pypi.example/simple",
        ),
        (":env:.index-url='https://a.example/?b=c'", "UV_DEFAULT_INDEX=https://a.example/?b=c"),
        (
            "user.extra-index-url='https://a.example\\nhttps://b.example'",
            "UV_INDEX=https://a.example https://b.example",
        ),
        ("global.find-links='/wheels /more'", "UV_FIND_LINKS=/wheels,/more"),
        ("global.trusted-host='pypi.example'", "UV_INSECURE_HOST=pypi.example"),
        ("global.cert='/etc/ssl/company.pem'", "SSL_CERT_FILE=/etc/ssl/company.pem"),
        ("global.proxy='http://proxy.example:3128'", "ALL_PROXY=http://proxy.example:3128"),
    ],
)
def test_uv_gets_packages_from_where_pip_is_told_to_get_them(said: str, wanted: str) -> None:
    lines = f"global.timeout='60'\n{said}\ninstall.no-compile='true'"
    assert settings_of_uv(lines) == [wanted]


def test_what_uv_is_told_itself_wins() -> None:
    said = "global.index-url='https://pypi.example/simple'"
    own = "https://own.example/simple"
    assert settings_of_uv(said, UV_DEFAULT_INDEX=own) == [f"UV_DEFAULT_INDEX={own}"]


def test_without_settings_of_pip_uv_is_told_nothing() -> None:
    assert settings_of_uv("") == []


def test_an_account_without_a_home_has_its_cache_elsewhere(tmp_path: Path) -> None:
    ask = 'source provisioning/lib/python.sh; settle_cache /elsewhere; echo "${UV_CACHE_DIR-}"'
    for home, wanted in ((tmp_path, ""), (Path("/dev/null"), "/elsewhere")):
        environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        command = ["bash", "-euc", ask]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True)
        assert done.stdout.decode().strip() == wanted


def test_uv_is_pinned_with_hashes() -> None:
    lines = (CHECKOUT / "provisioning" / "lib" / "uv.lock").read_text().splitlines()
    assert lines[0].startswith("uv==")
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
