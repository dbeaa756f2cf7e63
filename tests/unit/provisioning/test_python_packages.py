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
env | grep -E '^(UV_|SSL_|ALL_PROXY=)' | sort || true
for option in "${uv_options[@]}"; do echo "$option"; done
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
            "install.extra-index-url='https://a.example\\nhttps://b.example'",
            "UV_INDEX=https://a.example https://b.example",
        ),
        ("global.find-links='/wheels /more'", "UV_FIND_LINKS=/wheels,/more"),
        ("global.trusted-host='pypi.example'", "UV_INSECURE_HOST=pypi.example"),
        ("global.cert='/etc/ssl/company.pem'", "SSL_CERT_FILE=/etc/ssl/company.pem"),
        ("global.cert='/etc'", "SSL_CERT_DIR=/etc"),
        ("global.client-cert='/me.pem'", "SSL_CLIENT_CERT=/me.pem"),
        ("global.proxy='http://proxy.example:3128'", "ALL_PROXY=http://proxy.example:3128"),
        ("global.timeout='60'", "UV_HTTP_TIMEOUT=60"),
        (":env:.default-timeout='7.5'", "UV_HTTP_TIMEOUT=7"),
        ("global.no-index='true'", "--no-index"),
    ],
)
def test_uv_gets_packages_from_where_pip_is_told_to_get_them(said: str, wanted: str) -> None:
    lines = f"global.retries='9'\n{said}\ninstall.no-compile='true'\ndownload.index-url='x'"
    assert settings_of_uv(lines) == [wanted]


def test_what_uv_is_told_itself_wins() -> None:
    said = "global.index-url='https://pypi.example/simple'"
    own = "https://own.example/simple"
    assert settings_of_uv(said, UV_DEFAULT_INDEX=own) == [f"UV_DEFAULT_INDEX={own}"]


def test_settings_go_before_others_as_in_pip() -> None:
    said = {name: f"{name}.index-url='https://{name.strip(':')}'" for name in (":env:", "global")}
    said["install"] = "install.index-url='https://install'"
    both = [said["global"], said["install"]]
    assert settings_of_uv("\n".join(both)) == ["UV_DEFAULT_INDEX=https://install"]
    assert settings_of_uv("\n".join([said[":env:"], *both])) == ["UV_DEFAULT_INDEX=https://env"]
    assert settings_of_uv("global.no-index='1'\ninstall.no-index='false'") == []


def test_certificates_of_requests_and_curl_are_those_of_uv() -> None:
    bundles = {"CURL_CA_BUNDLE": "/curl.pem"}
    assert settings_of_uv("", **bundles) == ["SSL_CERT_FILE=/curl.pem"]
    bundles["REQUESTS_CA_BUNDLE"] = "/requests.pem"
    assert settings_of_uv("", **bundles) == ["SSL_CERT_FILE=/requests.pem"]
    assert settings_of_uv("global.cert='/pip.pem'", **bundles) == ["SSL_CERT_FILE=/pip.pem"]
    bundles["SSL_CERT_FILE"] = "/own.pem"
    assert settings_of_uv("", **bundles) == ["SSL_CERT_FILE=/own.pem"]


def test_without_settings_of_pip_uv_is_told_nothing() -> None:
    assert settings_of_uv("") == []


def cache_of_uv(home: Path, **environment: str) -> str:
    """Where uv's cache is, if that is not uv's own choice."""
    ask = 'source provisioning/lib/python.sh; settle_cache /elsewhere; echo "${UV_CACHE_DIR-}"'
    environment |= {"PATH": os.environ["PATH"], "HOME": str(home)}
    command = ["bash", "-euc", ask]
    return subprocess.check_output(command, cwd=CHECKOUT, env=environment, text=True).strip()


def test_an_account_without_a_home_has_its_cache_elsewhere(tmp_path: Path) -> None:
    assert cache_of_uv(tmp_path) == ""
    assert cache_of_uv(Path("/dev/null")) == "/elsewhere"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_root_writes_no_cache_into_a_users_home(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    assert cache_of_uv(tmp_path) == "/elsewhere"
    assert list(tmp_path.iterdir()) == []
    own = str(tmp_path / "chosen")
    assert cache_of_uv(tmp_path, UV_CACHE_DIR=own) == own


def test_a_missing_pip_is_said(tmp_path: Path) -> None:
    source = "source provisioning/lib/steps.sh; source provisioning/lib/python.sh"
    ask = f"{source}; python_wheels={tmp_path}; require_pip"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", ask],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"There is no pip in {tmp_path}: install the package python3-venv, which brings it.\n"
    )


INSTALL = """
set -euo pipefail
source provisioning/lib/steps.sh
source provisioning/lib/python.sh
pip_of_system() {
  [[ $2 == config ]] || { mkdir -p "$1/uv/bin"; cp "$program" "$1/uv/bin/uv"; }
}
install_lock "$1" some.lock
"""


def test_an_interrupted_installation_is_made_anew(tmp_path: Path) -> None:
    uv = tmp_path / "uv-program"
    venv = tmp_path / "venv"
    venv.mkdir()
    options = []
    for status in (1, 0, 0):
        uv.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/said\nexit {status}\n')
        uv.chmod(0o755)
        command = ["bash", "-c", INSTALL, "bash", str(venv)]
        environment = {**os.environ, "program": str(uv)}
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True)
        assert done.returncode == status
        options.append("--reinstall" in (tmp_path / "said").read_text().split())
    assert options == [False, True, False]


def test_uv_is_pinned_with_hashes() -> None:
    lines = (CHECKOUT / "provisioning" / "lib" / "uv.lock").read_text().splitlines()
    assert lines[0].startswith("uv==")
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
