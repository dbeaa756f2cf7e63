"""Ports that are looked at before anything is installed, by the system's Python alone."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.stack import first_look, port_allocation, ports, variables
from tools.stack.errors import StackError
from tools.stack.first_look import Place
from tools.stack.layout import CHECKOUT
from tools.stack.waiting import wait_until

NOBODY = "nobody that can be seen"
APART = "10000-11999"
"""Where these tests have ports, and those 1000 and 2000 higher: no other test has one there."""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout as it was cloned, whose ports are free; the loopback addresses are its own."""
    monkeypatch.setenv(ports.FREE_PORTS, APART)
    for name in (
        "stack",
        "tools",
        "topology.yml",
        "chassis",
        "provisioning",
        ".env.example",
        "requirements.lock",
    ):
        source = CHECKOUT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    names = first_look.hosts((tmp_path / "topology.yml").read_text())
    free = dict(zip(names, ports.free_ports(len(names)), strict=True))
    (tmp_path / ".env").write_text("".join(f"{name}='{port}'\n" for name, port in free.items()))
    return tmp_path


@contextmanager
def taken(port: int, host: str = "127.0.0.1") -> Iterator[None]:
    """Listen on a port for a block."""
    with socket.create_server((host, port)):
        yield


def port_of(checkout: Path, name: str) -> int:
    """A port of the checkout's .env."""
    return int(variables.parse(checkout / ".env")[name])


def up(checkout: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run ./stack up where nothing is installed, and nothing can be."""
    own = {"PATH": os.defpath, **environment}
    return subprocess.run([checkout / "stack", "up"], capture_output=True, text=True, env=own)


def test_it_reads_topology_yml_as_the_stack_does() -> None:
    read = first_look.hosts((CHECKOUT / "topology.yml").read_text())
    assert read == port_allocation.hosts(variables.ADDRESSES)


def test_all_taken_ports_are_named_before_anything_is_installed(bare: Path) -> None:
    gateway, orders = (port_of(bare, name) for name in ("GATEWAY_PORT", "ORDERS_API_PORT"))
    with taken(gateway), taken(orders, "127.0.0.14"):
        done = up(bare)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"Port {gateway} on 127.0.0.1 is taken by another program; "
        f"port {orders} on 127.0.0.14 is taken by another program: "
        "end them, or set GATEWAY_PORT and ORDERS_API_PORT to other ports in .env"
    )
    assert "PORT_OFFSET=1000 ./stack up\n" in done.stderr
    assert not (bare / ".stack").exists()


def test_an_offset_moves_the_ports_that_are_looked_at(bare: Path) -> None:
    gateway = port_of(bare, "GATEWAY_PORT")
    with taken(gateway):
        assert first_look.look(bare, {"PORT_OFFSET": "1000"}) == ""
    with taken(gateway + 1000):
        said = first_look.look(bare, {"PORT_OFFSET": "1000"})
    assert said.startswith(f"Port {gateway + 1000} on 127.0.0.1 is taken by another program")
    assert "PORT_OFFSET=2000 ./stack up" in said


def test_a_variable_of_the_environment_wins(bare: Path) -> None:
    with taken(port_of(bare, "GATEWAY_PORT")):
        assert first_look.look(bare, {"GATEWAY_PORT": str(ports.free_port())}) == ""


@contextmanager
def stack_of(checkout: Path, variable: str, port: int) -> Iterator[None]:
    """A process as those of another checkout's stack are, for a block."""
    env_file = checkout / "services.env"
    env_file.write_text(f"{variable}='{port}'\nPORT_OFFSET='0'\n")
    own = {"PM2_HOME": str(checkout), "ROOT": str(checkout), "ENV_FILE": str(env_file)}
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=own
    ) as process:
        seen = lambda: any(one.checkout == checkout for one in first_look.running())  # noqa: E731
        wait_until(seen, 30, "the other stack to run")
        yield
        process.communicate(b"\n")


def test_another_checkout_that_holds_a_port_is_named(bare: Path, tmp_path: Path) -> None:
    other = tmp_path / "other checkout"
    other.mkdir()
    gateway = port_of(bare, "GATEWAY_PORT")
    with taken(gateway), stack_of(other, "GATEWAY_PORT", gateway):
        done = up(bare)
    assert done.returncode == 1
    assert done.stderr == (
        f"Another stack of this project, that of {other}, holds port {gateway}: "
        "end it there (./stack down). Or start this one beside, with all ports moved: "
        "PORT_OFFSET=1000 ./stack up\n"
    )


def test_the_running_stack_of_this_checkout_is_no_obstacle(bare: Path) -> None:
    gateway = port_of(bare, "GATEWAY_PORT")
    with taken(gateway), stack_of(bare, "GATEWAY_PORT", gateway):
        assert first_look.look(bare, {}) == ""


def test_the_installed_program_names_another_checkout_too(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    private = port_allocation.choose_private()
    values = variables.resolve(
        variables.example(), variables.PRIVATE_ADDRESSES, private, tmp_path / "state"
    )
    gateway, billing = private["GATEWAY_PORT"], private["BILLING_API_PORT"]
    with taken(gateway), taken(billing), stack_of(other, "GATEWAY_PORT", gateway):
        message = rf"that of {other}, holds port {gateway}: .* Port {billing} on 127.0.0.1 is taken"
        with pytest.raises(StackError, match=message):
            port_allocation.check(values, frozenset())


def test_no_offset_is_proposed_where_none_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("GATEWAY_PORT", 60_000, "127.0.0.1")
    monkeypatch.setattr(first_look, "is_free", lambda _port, _host: False)
    assert first_look.offset_beside([place], 0) is None
    said = first_look.sentence([place], [place], 0, [], lambda _port, _host: NOBODY)
    assert (NOBODY in said, "PORT_OFFSET" in said) == (True, False)


def test_an_offset_moves_every_port_of_one_machine() -> None:
    before = variables.example()
    after = variables.moved({**before, "PORT_OFFSET": "1000"})
    moved = {name for name in before if before[name] != after[name]}
    vagrants = {"GATEWAY_FORWARDED_PORT", "RABBITMQ_FORWARDED_PORT"}
    assert moved == {name for name in before if name.endswith("_PORT")} - vagrants
    assert all(int(after[name]) == int(before[name]) + 1000 for name in moved)


@pytest.mark.parametrize("offset", ["-1", "1e3", "x", " 5"])
def test_an_offset_that_is_no_number_is_refused(tmp_path: Path, offset: str) -> None:
    shutil.copy(CHECKOUT / ".env.example", tmp_path)
    with pytest.raises(StackError, match=r"^PORT_OFFSET has to be a whole number, 0 or more"):
        variables.read(tmp_path, {"PORT_OFFSET": offset})


def test_an_offset_beyond_the_highest_port_is_refused() -> None:
    with pytest.raises(StackError, match=r"^PORT_OFFSET=60000 makes GATEWAY_PORT 68080: 65535 is"):
        variables.moved({**variables.example(), "PORT_OFFSET": "60000"})
