"""Ports: which are free, who holds them, which a stack takes."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import plan, ports
from local.errors import StackError
from local.layout import CHECKOUT
from local.variables import ADDRESSES, PORTS, Variables, read, resolve

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 0100007F:11F9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
"""


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


def test_only_the_sockets_that_listen_on_the_port_are_found() -> None:
    assert list(ports.listening_inodes(TABLE, 8080)) == ["4711"]


def test_a_shared_port_that_is_listened_on_is_not_free(server: socket.socket) -> None:
    assert not ports.is_free(server.getsockname()[1])


def test_the_holder_of_a_port_is_named_with_its_process_id(server: socket.socket) -> None:
    assert ports.holders(server.getsockname()[1]) == [os.getpid()]
    assert f"(pid {os.getpid()})" in ports.holder(server.getsockname()[1])


def test_free_ports_are_different_and_free() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    assert all(ports.is_free(port) for port in found)


def test_the_first_free_port_passes_over_a_taken_one(server: socket.socket) -> None:
    taken = server.getsockname()[1]
    assert ports.first_free(taken) > taken


def test_ports_are_remembered(tmp_path: Path, values: Variables) -> None:
    first = plan.choose(tmp_path, values, frozenset())
    assert plan.choose(tmp_path, values, frozenset()) == first


def test_a_taken_amqp_port_is_passed_over_and_the_choice_remembered(
    tmp_path: Path, values: Variables, server: socket.socket
) -> None:
    taken = server.getsockname()[1]
    chosen = plan.choose(tmp_path, values | {"RABBITMQ_PORT": str(taken)}, frozenset())
    assert chosen["RABBITMQ_PORT"] > taken
    server.close()
    again = plan.choose(tmp_path, values | {"RABBITMQ_PORT": str(taken)}, frozenset())
    assert again == chosen


def test_a_port_that_this_stack_holds_is_kept(
    tmp_path: Path, values: Variables, server: socket.socket
) -> None:
    wanted = values | {"RABBITMQ_PORT": str(server.getsockname()[1])}
    chosen = plan.choose(tmp_path, wanted, frozenset([os.getpid()]))
    assert chosen["RABBITMQ_PORT"] == server.getsockname()[1]


def test_a_port_that_another_holds_is_refused_with_what_to_do(
    tmp_path: Path, values: Variables, server: socket.socket
) -> None:
    free = dict(zip(PORTS, ports.free_ports(len(PORTS)), strict=True))
    taken = free | {"GATEWAY_PORT": server.getsockname()[1]}
    resolved = resolve(values, ADDRESSES, taken, tmp_path)
    with pytest.raises(StackError, match=rf"\(pid {os.getpid()}\): end it, or set GATEWAY_PORT"):
        plan.check(resolved, frozenset())
    plan.check(resolved, frozenset([os.getpid()]))
