"""Ports: which are free, who holds them, which a stack takes."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.side_by_side import own_ports
from tools.stack import port_allocation, ports
from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT
from tools.stack.variables import ADDRESSES, PORTS, Variables, read, resolve
from tools.stack.waiting import wait_until


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A listening socket that shares its port, as granian's do."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


@pytest.fixture
def values() -> Variables:
    """The variables of .env.example."""
    return read(CHECKOUT, {})


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0"),
        (socket.AF_INET6, "::ffff:127.0.0.1"),
        (socket.AF_INET6, "::"),
    ],
)
def test_a_listener_on_an_address_or_on_all_addresses_holds_its_port(
    family: socket.AddressFamily, address: str
) -> None:
    with socket.socket(family) as listening:
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((address, 0))
        listening.listen()
        assert ports.holders(listening.getsockname()[1]) == [os.getpid()]


def test_a_listener_on_another_address_or_a_client_holds_no_port() -> None:
    with (
        socket.create_server(("127.0.0.11", 0)) as other,
        socket.create_connection(other.getsockname()[:2]) as client,
    ):
        assert ports.holders(other.getsockname()[1]) == []
        assert ports.holders(other.getsockname()[1], "127.0.0.11") == [os.getpid()]
        assert ports.holders(client.getsockname()[1], client.getsockname()[0]) == []


def test_each_process_that_shares_a_port_is_a_holder(server: socket.socket) -> None:
    port = server.getsockname()[1]
    serve = (
        "import socket, sys; s = socket.socket(); "
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); "
        "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print(flush=True); input()"
    )
    command = [sys.executable, "-c", serve, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert ports.holders(port) == sorted([os.getpid(), other.pid])
        other.communicate(b"\n")


def test_a_shared_port_that_is_listened_on_is_not_free(server: socket.socket) -> None:
    assert not ports.is_free(server.getsockname()[1])


def test_the_holder_of_a_port_is_named_with_its_process_id(server: socket.socket) -> None:
    assert ports.holders(server.getsockname()[1]) == [os.getpid()]
    assert f"(pid {os.getpid()})" in ports.holder(server.getsockname()[1])


def test_free_ports_are_different_and_free() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    assert all(ports.is_free(port) for port in found)


def test_a_run_beside_others_takes_its_ports_from_its_own_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = [own_ports(number, 3) for number in range(3)]
    assert parts[0].startswith("15000-")
    for part in parts:
        monkeypatch.setenv(ports.FREE_PORTS, part)
        first, last = map(int, part.split("-"))
        assert all(first <= port <= last for port in ports.free_ports(20))
    assert len({bound for part in parts for bound in part.split("-")}) == 6


def test_a_free_port_is_reused_only_after_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, last = map(int, own_ports(1, 100).split("-"))
    monkeypatch.setenv(ports.FREE_PORTS, f"{first}-{last}")
    free = {port for port in range(first, last + 1) if ports.is_free(port)}
    assert {ports.free_port() for _ in free} == free


def test_without_a_free_port_the_range_is_named(
    monkeypatch: pytest.MonkeyPatch, server: socket.socket
) -> None:
    port = server.getsockname()[1]
    monkeypatch.setenv(ports.FREE_PORTS, f"{port}-{port}")
    with pytest.raises(StackError, match=f"between {port} and {port}"):
        ports.free_port()


def test_the_first_free_port_passes_over_a_taken_one(server: socket.socket) -> None:
    taken = server.getsockname()[1]
    assert ports.first_free(taken) > taken


def test_ports_are_remembered(tmp_path: Path, values: Variables) -> None:
    first = port_allocation.choose(tmp_path, values, frozenset())
    assert port_allocation.choose(tmp_path, values, frozenset()) == first


def test_a_taken_amqp_port_is_skipped_and_the_choice_remembered(
    tmp_path: Path, values: Variables, server: socket.socket
) -> None:
    taken = server.getsockname()[1]
    chosen = port_allocation.choose(tmp_path, values | {"RABBITMQ_PORT": str(taken)}, frozenset())
    assert chosen["RABBITMQ_PORT"] > taken
    server.close()
    again = port_allocation.choose(tmp_path, values | {"RABBITMQ_PORT": str(taken)}, frozenset())
    assert again == chosen


def test_a_port_that_this_stack_holds_is_kept(
    tmp_path: Path, values: Variables, server: socket.socket
) -> None:
    wanted = values | {"RABBITMQ_PORT": str(server.getsockname()[1])}
    chosen = port_allocation.choose(tmp_path, wanted, frozenset([os.getpid()]))
    assert chosen["RABBITMQ_PORT"] == server.getsockname()[1]


def test_a_port_that_another_holds_is_refused_with_what_to_do(
    tmp_path: Path, values: Variables, server: socket.socket
) -> None:
    free = dict(zip(PORTS, ports.free_ports(len(PORTS)), strict=True))
    taken = free | {"GATEWAY_PORT": server.getsockname()[1]}
    resolved = resolve(values, ADDRESSES, taken, tmp_path)
    with pytest.raises(StackError, match=rf"\(pid {os.getpid()}\): end it, or set GATEWAY_PORT"):
        port_allocation.check(resolved, frozenset())
    port_allocation.check(resolved, frozenset([os.getpid()]))


def test_all_ports_that_others_hold_are_named_at_once(
    tmp_path: Path, values: Variables, server: socket.socket
) -> None:
    free = dict(zip(PORTS, ports.free_ports(len(PORTS)), strict=True))
    with socket.create_server(("127.0.0.12", 0)) as other:
        names = ("GATEWAY_PORT", "BILLING_API_PORT")
        numbers = [held.getsockname()[1] for held in (server, other)]
        taken = free | dict(zip(names, numbers, strict=True))
        resolved = resolve(values, ADDRESSES, taken, tmp_path)
        message = rf"^Port {numbers[0]} on 127.0.0.1 is taken .*; port {numbers[1]} on 127.0.0.12 "
        with pytest.raises(StackError, match=message + ".* end them, or set GATEWAY_PORT and BILL"):
            port_allocation.check(resolved, frozenset())


def test_our_process_on_another_address_does_not_make_anothers_port_ours(
    tmp_path: Path, values: Variables
) -> None:
    serve = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); input()"
    with socket.create_server(("127.0.0.11", 0)) as ours:
        port = ours.getsockname()[1]
        free = dict(zip(PORTS, ports.free_ports(len(PORTS)), strict=True))
        wanted = free | {"GATEWAY_PORT": port, "INVENTORY_API_PORT": port}
        resolved = resolve(values, ADDRESSES, wanted, tmp_path)
        command = [sys.executable, "-c", serve, str(port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as foreign:
            wait_until(lambda: ports.accepts(port), 30, "the other program to listen")
            message = rf"^Port {port} on 127.0.0.1 is taken by .* \(pid {foreign.pid}\)"
            with pytest.raises(StackError, match=message):
                port_allocation.check(resolved, frozenset([os.getpid()]))
            foreign.communicate(b"\n")


def test_two_variables_with_one_address_and_port_are_refused(
    tmp_path: Path, values: Variables
) -> None:
    same = {"GATEWAY_PORT": 8080, "GATEWAY_RELAY_PORT": 8080}
    message = "^GATEWAY_PORT and GATEWAY_RELAY_PORT are both 8080 on 127.0.0.1: "
    with pytest.raises(StackError, match=message):
        port_allocation.check(resolve(values, ADDRESSES, same, tmp_path), frozenset())


def test_no_database_takes_a_port_that_is_named_for_another(
    tmp_path: Path, values: Variables
) -> None:
    before = port_allocation.choose(tmp_path, values, frozenset())["GATEWAY_DB_PORT"]
    after = port_allocation.choose(tmp_path, values | {"GATEWAY_PORT": str(before)}, frozenset())
    assert before not in after.values()


def test_a_taken_amqp_port_is_not_moved_to_one_that_is_named_for_another(
    tmp_path: Path, values: Variables, server: socket.socket
) -> None:
    taken = server.getsockname()[1]
    named = {"RABBITMQ_PORT": str(taken), "RABBITMQ_MANAGEMENT_PORT": str(taken + 1)}
    assert (
        port_allocation.choose(tmp_path, values | named, frozenset())["RABBITMQ_PORT"] > taken + 1
    )
