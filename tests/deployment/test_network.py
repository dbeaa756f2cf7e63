"""Who may connect to what."""

import socket

import pytest

from tests.deployment.platform import Platform
from tests.deployment.vagrant import MACHINES

ADDRESSES = {
    "gateway-vm": "192.168.56.10",
    "inventory-vm": "192.168.56.11",
    "billing-vm": "192.168.56.12",
    "customers-vm": "192.168.56.13",
}
PORTS = (22, 4369, 5432, 5672, 8080, 9101, 9102, 9103, 15672, 25672)


def test_from_inventory_vm_only_ssh_and_amqp_are_open(platform: Platform) -> None:
    others = [machine for machine in MACHINES if machine != "inventory-vm"]
    addresses = {
        machine: [ADDRESSES[machine], *nat_addresses(platform, machine)] for machine in others
    }
    for machine in others:
        for address in addresses[machine]:
            opened = [port for port in PORTS if reaches(platform, address, port)]
            amqp = [5672] if address == ADDRESSES["billing-vm"] else []
            assert opened == [22, *amqp], (machine, address)


@pytest.mark.parametrize("machine", MACHINES)
def test_from_the_host_only_ssh_and_the_gateway_are_open(platform: Platform, machine: str) -> None:
    opened = [port for port in PORTS if accepts(ADDRESSES[machine], port)]
    assert opened == ([22, 8080] if machine == "gateway-vm" else [22])


def nat_addresses(platform: Platform, machine: str) -> list[str]:
    """A machine's other addresses, as far as inventory-vm can tell them from its own."""
    own = platform.ssh("inventory-vm", "hostname -I").split()
    found = platform.ssh(machine, "hostname -I").split()
    return [a for a in found if ":" not in a and a not in own and a not in ADDRESSES.values()]


def reaches(platform: Platform, address: str, port: int) -> bool:
    """Whether inventory-vm can connect."""
    command = f"timeout 3 bash -c '</dev/tcp/{address}/{port}'"
    return platform.vagrant.try_ssh("inventory-vm", command).returncode == 0


def accepts(address: str, port: int) -> bool:
    """Whether this machine can connect."""
    try:
        with socket.create_connection((address, port), timeout=3):
            return True
    except OSError:
        return False
