"""Who may connect to what."""

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.deployment.platform import Platform
from tests.deployment.vagrant import MACHINES, on_each
from tools.stack.layout import TOPOLOGY

ADDRESSES = {machine.name: machine.address.default for machine in TOPOLOGY.machines}
WORKER_PORTS = [int(p.port.default) for p in TOPOLOGY.processes if not p.is_server]
PORTS = (22, 4369, 5432, 5672, 8080, *sorted(WORKER_PORTS), 15672, 25672)
# the other machines' services that a machine may call, over the private network
CALLED = {
    machine.name: [called.name for called in TOPOLOGY.machines_of(*machine.role.calls)]
    for machine in TOPOLOGY.machines
}
# the workers that gateway-vm watches
WATCHED = {
    machine.name: {int(worker.port.default) for worker in machine.role.workers}
    for machine in TOPOLOGY.machines
    if not machine.role.watches
}


@pytest.fixture(scope="module")
def nat(platform: Platform) -> dict[str, list[str]]:
    """The addresses of each machine but for that in the private network."""
    return on_each(lambda machine: nat_addresses(platform, machine))


@pytest.mark.parametrize("caller", MACHINES)
def test_a_machine_reaches_ssh_amqp_what_it_calls_or_watches_and_nothing_else(
    platform: Platform, nat: dict[str, list[str]], caller: str
) -> None:
    others = [machine for machine in MACHINES if machine != caller]
    places = [
        (machine, address)
        for machine in others
        for address in (ADDRESSES[machine], *(set(nat[machine]) - set(nat[caller])))
    ]
    opened = reached(platform, caller, [address for _machine, address in places])
    wanted = {place: {22} for place in places}
    if caller != "billing-vm":
        wanted["billing-vm", ADDRESSES["billing-vm"]].add(5672)
    for machine in CALLED.get(caller, ()):
        wanted[machine, ADDRESSES[machine]].add(8080)
    if caller == "gateway-vm":
        for machine, ports in WATCHED.items():
            wanted[machine, ADDRESSES[machine]] |= ports
    assert {place: opened[place[1]] for place in places} == wanted


@pytest.mark.parametrize("machine", MACHINES)
def test_from_the_host_only_ssh_and_the_gateway_are_open(platform: Platform, machine: str) -> None:
    with ThreadPoolExecutor(len(PORTS)) as pool:
        accepted = pool.map(partial(accepts, ADDRESSES[machine]), PORTS)
        opened = [port for port, open in zip(PORTS, accepted, strict=True) if open]
    assert opened == ([22, 8080] if machine == "gateway-vm" else [22])


def nat_addresses(platform: Platform, machine: str) -> list[str]:
    """A machine's addresses but for that in the private network."""
    found = platform.look(machine, "hostname -I").split()
    return [a for a in found if ":" not in a and a not in ADDRESSES.values()]


def reached(platform: Platform, machine: str, addresses: Sequence[str]) -> dict[str, set[int]]:
    """The ports that a machine can connect to at each of these addresses."""
    attempt = "(timeout 3 bash -c '</dev/tcp/{0}/{1}' 2>/dev/null && echo {0} {1}) &"
    attempts = [attempt.format(address, port) for address in addresses for port in PORTS]
    found: dict[str, set[int]] = {address: set() for address in addresses}
    for line in platform.look(machine, f"{' '.join(attempts)} wait").splitlines():
        address, port = line.split()
        found[address].add(int(port))
    return found


def accepts(address: str, port: int) -> bool:
    """Whether this machine can connect."""
    try:
        with socket.create_connection((address, port), timeout=3):
            return True
    except OSError:
        return False
