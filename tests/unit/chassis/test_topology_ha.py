"""topology.ha.yml: what follows from it for machines, firewalls and services."""

import json
from pathlib import Path

import pytest
import yaml

from chassis.settings import read_broker
from chassis.topology import Machine, Topology
from chassis.topology_file import TopologyError, file_of, read_topology
from chassis.topology_yaml import merged
from provisioning.role import assignments, openings
from tests.support.topology_copy import Copy, hosts_of
from tools.stack.layout import CHECKOUT

HA = read_topology(file_of("ha"))
FIVE = read_topology()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy of the checkout as machines get it, with the topology in one piece."""

    base = yaml.safe_load((CHECKOUT / "topology.yml").read_text())
    own = yaml.safe_load((CHECKOUT / "topology.ha.yml").read_text())
    del own["extends"]
    return Copy(tmp_path_factory.mktemp("copy"), yaml.safe_dump(merged(base, own), sort_keys=False))


def opened(name: str) -> list[str]:
    """The openings of a machine's firewall."""
    return list(openings(HA, HA.machine(name)))


def names(machines: tuple[Machine, ...]) -> list[str]:
    """Their names."""
    return [machine.name for machine in machines]


def said(topology: Topology, name: str) -> dict[str, str]:
    """What provisioning reads of a machine."""
    lines = assignments(topology, topology.machine(name))
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def test_eleven_machines_take_less_than_nine_gigabytes() -> None:
    assert len(HA.machines) == 11
    assert sum(machine.role.memory for machine in HA.machines) < 9 * 1024


def test_processes_queues_and_the_first_machines_are_those_of_topology_yml() -> None:
    assert (HA.processes, HA.queues, HA.exchanges) == (FIVE.processes, FIVE.queues, FIVE.exchanges)
    for role in FIVE.roles:
        assert HA.machines_of(role.name)[0].address == FIVE.machines_of(role.name)[0].address
        assert len(HA.machines_of(role.name)) == 2


def test_three_machines_agree_and_hold_messages() -> None:
    three = ["billing-vm", "billing2-vm", "witness-vm"]
    assert names(HA.machines_with("etcd")) == names(HA.machines_with("rabbitmq")) == three


def test_a_database_is_open_to_the_other_machine_of_its_role_alone() -> None:
    assert "open_port POSTGRESQL_PORT INVENTORY_VM_IP" in opened("inventory2-vm")
    assert "open_port PATRONI_PORT INVENTORY2_VM_IP" in opened("inventory-vm")
    for machine in HA.machines:
        calls = [call.split() for call in opened(machine.name)]
        [*found] = [call[2:] for call in calls if call[1] == "POSTGRESQL_PORT"]
        peers = (
            [peer.address.name for peer in HA.peers_of(machine)] if machine.role.database else []
        )
        assert found == ([peers] if peers else [])


def test_clusters_are_open_to_their_members_and_clients() -> None:
    nodes = "BILLING_VM_IP BILLING2_VM_IP"
    witness = opened("witness-vm")
    assert f"open_port ETCD_PEER_PORT {nodes}" in witness
    assert f"open_port RABBITMQ_CLUSTER_PORT {nodes}" in witness
    [clients] = [call.split()[2:] for call in witness if "ETCD_PORT" in call.split()]
    assert set(clients) == {m.address.name for m in HA.machines} - {"WITNESS_VM_IP"}
    assert "open_vrrp GATEWAY_VM_IP" in opened("gateway2-vm")


def test_five_machines_open_nothing_more() -> None:
    for machine in FIVE.machines:
        calls = " ".join(openings(FIVE, machine))
        assert not any(word in calls for word in ("ETCD", "PATRONI", "POSTGRESQL", "vrrp", "EPMD"))


def test_the_witness_begins_the_cluster_of_rabbitmq_and_runs_no_service() -> None:
    witness = said(HA, "witness-vm")
    assert witness["rabbitmq_nodes"].startswith("(witness-vm:WITNESS_VM_IP billing-vm:")
    assert (witness["servers"], witness["workers"], witness["databases"]) == ("()", "()", "()")
    assert witness["packages"] == "(rabbitmq-server etcd-server etcd-client)"
    assert "RABBITMQ_COOKIE" in witness["needed"]
    assert "DATABASE_ADMIN_PASSWORD" not in witness["needed"]


def test_one_machine_of_a_role_is_the_first() -> None:
    found = [said(HA, name)["is_first"] for name in ("orders-vm", "orders2-vm")]
    assert found == ["yes", ""]


def test_a_role_with_a_shared_address_holds_it_by_keepalived() -> None:
    assert said(HA, "gateway2-vm")["shared_address"] == "GATEWAY_VIP"
    assert "keepalived" in said(HA, "gateway2-vm")["packages"]
    assert said(FIVE, "gateway-vm")["shared_address"] == ""


def test_services_call_all_machines_of_a_role_and_know_all_nodes(copy: Copy) -> None:
    there = {name: value for name, value in HA.defaults().items() if name.endswith("_VM_IP")}
    assert hosts_of(copy, "gateway", there) == ["192.168.56.11", "192.168.56.21"]
    program = "import json, chassis.settings as s; print(json.dumps(s.read_broker().hosts))"
    hosts = json.loads(copy.run("-c", program, values=dict(BROKER) | there))
    assert hosts == ["192.168.56.12", "192.168.56.22", "192.168.56.15"]
    shown = [machine["name"] for machine in copy.status(**there)["machines"]]
    assert shown == [machine.name for machine in HA.machines]


BROKER = {
    "RABBITMQ_USER": "u",
    "RABBITMQ_PASSWORD": "p",
    "RABBITMQ_VHOST": "v",
    "RABBITMQ_QUEUE": "q",
}


def test_a_host_of_rabbitmq_may_be_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**BROKER, "RABBITMQ_HOST": "127.0.0.1, 10.0.0.2"}.items():
        monkeypatch.setenv(name, value)
    assert read_broker().hosts == ("127.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("servers: [rabbitmq, etcd]", "servers: [rabbitmq]", "an odd number of machines"),
        ("GATEWAY_VIP:", "GATEWAY_IP:", "has to end with _VIP"),
        ("RABBITMQ_COOKIE: r", "RABBITMQ_KEY: r", "has to end with _PASSWORD"),
        ("192.168.56.9}", "192.168.56.10}", "the default address 192.168.56.10 is used twice"),
    ],
)
def test_what_contradicts_itself_is_said(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    text = (CHECKOUT / "topology.ha.yml").read_text()
    assert old in text
    (tmp_path / "topology.yml").write_text((CHECKOUT / "topology.yml").read_text())
    (tmp_path / "topology.ha.yml").write_text(text.replace(old, new))
    with pytest.raises(TopologyError, match=sentence):
        read_topology(tmp_path / "topology.ha.yml")


@pytest.mark.parametrize("name", ["seven", "../ha", "h a"])
def test_a_topology_that_there_is_not_is_named(name: str) -> None:
    with pytest.raises(TopologyError, match="there are ha, or nothing"):
        file_of(name)
