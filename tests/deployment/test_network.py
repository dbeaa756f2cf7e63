"""Who may connect to what."""

import socket

import pytest

from tests.deployment.platform import Platform
from tests.deployment.vagrant import MACHINES, on_each

ADDRESSES = {
    "gateway-vm": "192.168.56.10",
    "inventory-vm": "192.168.56.11",
    "billing-vm": "192.168.56.12",
    "customers-vm": "192.168.56.13",
    "orders-vm": "192.168.56.14",
}
PORTS = (22, 4369, 5432, 5672, 8080, *range(9101, 9108), 9110, 9120, 15672, 25672)
# the other machines' services that a machine may call, over the private network
CALLED = {
    "gateway-vm": ("inventory-vm", "billing-vm", "customers-vm", "orders-vm"),
    "orders-vm": ("inventory-vm", "customers-vm"),
}
# the workers that gateway-vm watches
WATCHED = {
    "inventory-vm": {9105, 9106},
    "billing-vm": {9102, 9104},
    "customers-vm": {9103},
    "orders-vm": {9107, 9110, 9120},
}


@pytest.mark.parametrize("caller", MACHINES)
def test_a_machine_reaches_ssh_amqp_what_it_calls_or_watches_and_nothing_else(
    platform: Platform, caller: str
) -> None:
    others = [machine for machine in MACHINES if machine != caller]
    nat = on_each(lambda machine: nat_addresses(platform, machine))
    opened = {
        (machine, address): reached(platform, caller, address)
        for machine in others
        for address in (ADDRESSES[machine], *(set(nat[machine]) - set(nat[caller])))
    }
    wanted = {place: {22} for place in opened}
    if caller != "billing-vm":
        wanted["billing-vm", ADDRESSES["billing-vm"]].add(5672)
    for machine in CALLED.get(caller, ()):
        wanted[machine, ADDRESSES[machine]].add(8080)
    if caller == "gateway-vm":
        for machine, ports in WATCHED.items():
            wanted[machine, ADDRESSES[machine]] |= ports
    assert opened == wanted


@pytest.mark.parametrize("machine", MACHINES)
def test_from_the_host_only_ssh_and_the_gateway_are_open(platform: Platform, machine: str) -> None:
    opened = [port for port in PORTS if accepts(ADDRESSES[machine], port)]
    assert opened == ([22, 8080] if machine == "gateway-vm" else [22])


def nat_addresses(platform: Platform, machine: str) -> list[str]:
    """A machine's addresses but for that in the private network."""
    found = platform.vagrant.look(machine, "hostname -I").split()
    return [a for a in found if ":" not in a and a not in ADDRESSES.values()]


def reached(platform: Platform, machine: str, address: str) -> set[int]:
    """The ports of an address that a machine can connect to."""
    attempt = f"timeout 3 bash -c '</dev/tcp/{address}/%s' 2>/dev/null && echo %s"
    attempts = "; ".join(f"({attempt % (port, port)}) &" for port in PORTS).replace("&;", "&")
    return {int(port) for port in platform.vagrant.look(machine, f"{attempts} wait").split()}


def accepts(address: str, port: int) -> bool:
    """Whether this machine can connect."""
    try:
        with socket.create_connection((address, port), timeout=3):
            return True
    except OSError:
        return False
