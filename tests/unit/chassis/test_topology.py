"""An edit of topology.yml is followed by everything; a mistake in it is said in a sentence."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from chassis.errors import SettingsError
from chassis.topology_file import TopologyError, read_topology
from tests.support.topology_copy import EXAMPLE, Copy, hosts_of
from tools.stack.layout import CHECKOUT, INSTALLED, TOPOLOGY

TEXT = (CHECKOUT / "topology.yml").read_text()
CONSUMER = "      inventory-relay: {runs: relay,"
SECOND_CONSUMER = (
    "      inventory-consumer-2:\n"
    "        {runs: consume, port: {INVENTORY_CONSUMER_2_PORT: 9108},"
    " consumes: [inventory_inbox]}\n"
)
CUSTOMERS = "  customers-vm:\n    role"
SIXTH_MACHINE = (
    "  inventory2-vm:\n    role: inventory\n    address: {INVENTORY2_VM_IP: 192.168.56.15}\n"
)


Make = Callable[[str, str], Copy]


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A copy of the checkout in whose topology.yml something was put before something else.

    The tests of one edit share a copy, whose modules are compiled once.
    """

    @cache
    def make(new: str, before: str) -> Copy:
        assert TEXT.count(before) == 1
        return Copy(tmp_path_factory.mktemp("copy"), TEXT.replace(before, new + before))

    return make


def test_its_defaults_are_those_of_the_example() -> None:
    assert TOPOLOGY.defaults().items() <= EXAMPLE.items()


def test_a_second_consumer_is_a_row(edited: Make) -> None:
    copy = edited(SECOND_CONSUMER, CONSUMER)
    name, variable = "inventory-consumer-2", "INVENTORY_CONSUMER_2_PORT"

    rows = json.loads(copy.run("-m", "chassis.pm2", "inventory"))
    assert {"name": name, "args": ["-m", "inventory", "consume"]} in rows

    inventory, gateway, orders = (copy.role(role) for role in ("inventory", "gateway", "orders"))
    assert f"open_workers {variable} GATEWAY_VM_IP" in inventory["access"]
    assert (name in inventory["workers"], variable in inventory["worker_ports"]) == (True, True)
    assert variable in inventory["variables"] and variable in gateway["variables"]
    assert variable not in orders["variables"]

    assert copy.said("tools.stack.variables", f"read()[{variable!r}]") == "9108"
    (copy.home / ".env").write_text(f"{variable}=9200\n")
    assert copy.said("tools.stack.variables", f"read()[{variable!r}]") == "9200"
    (copy.home / ".env").unlink()
    names = "[process.name for process in tools.stack.layout.PROCESSES]"
    assert name in copy.said("tools.stack.layout", f"TOPOLOGY and {names}")

    machines = {machine["name"]: machine for machine in copy.status()["machines"]}
    shown = {p["name"]: (p["kind"], p["port"]) for p in machines["inventory-vm"]["processes"]}
    assert shown[name] == ("consumer", 9108)
    # both consume one queue, which is shown once
    assert [queue["name"] for queue in copy.status()["queues"]].count("inventory_inbox") == 1
    assert copy.targets()["inventory-vm", name] == "192.168.56.11:9108"


def test_each_of_two_instances_knows_its_number(edited: Make) -> None:
    copy = edited(SECOND_CONSUMER, CONSUMER)
    for name, port in (("inventory-consumer", 9106), ("inventory-consumer-2", 9108)):
        ports = "load().consumer_port.port"
        assert copy.said("inventory.settings", ports, PROCESS_NAME=name) == port
        own = "own_name('inventory-consumer')"
        assert copy.said("chassis.settings", own, PROCESS_NAME=name) == name
        # what it is not is as for everybody
        relay = copy.said("inventory.settings", "load().relay_port.port", PROCESS_NAME=name)
        assert relay == 9105


def test_pm2_starts_the_processes_of_a_role_or_of_all_roles(edited: Make) -> None:
    copy = edited(SECOND_CONSUMER, CONSUMER)
    program = "console.log(JSON.stringify(require('./chassis/ecosystem.config.js').apps))"
    for role, names in (
        ("inventory", ["inventory-api", "inventory-consumer", "inventory-consumer-2"]),
        ("", ["gateway", "inventory-consumer-2", "mail-worker"]),
    ):
        done = subprocess.run(
            [INSTALLED / "bin" / "node", "-e", program],
            cwd=copy.home,
            env={"PYTHON": sys.executable, "ROOT": str(copy.home), "ROLE": role},
            capture_output=True,
            text=True,
            check=True,
        )
        apps = {app["name"]: app for app in json.loads(done.stdout)}
        assert set(names) <= apps.keys()
        second = apps["inventory-consumer-2"]
        assert second["args"] == [sys.executable, "-m", "inventory", "consume"]
        assert second["env"] == {"PROCESS_NAME": "inventory-consumer-2"}
        assert (len(apps) == 4) is bool(role)


def test_a_sixth_machine_is_a_row(edited: Make) -> None:
    copy = edited(SIXTH_MACHINE, CUSTOMERS)
    address = "INVENTORY2_VM_IP"

    # RabbitMQ lets it in, the entrance treats it as one of ours, and who calls it knows where it is
    opened = next(call for call in copy.role("billing")["access"] if "RABBITMQ_PORT" in call)
    assert address in opened.split()
    gateway, orders = copy.role("gateway"), copy.role("orders")
    assert all(address in role["machine_variables"] for role in (gateway, orders))
    assert address in gateway["variables"] and address in orders["variables"]
    # itself it opens what the first one does
    own = copy.role("inventory", "inventory2-vm")
    assert own["access"] == copy.role("inventory")["access"]
    lines = copy.run("-m", "provisioning.role", "inventory", "inventory2-vm").splitlines()
    assert {f"own_address={address}", "export MACHINE_NAME=inventory2-vm"} <= set(lines)

    there = {address: "192.168.56.25"}
    # it has a database of its own, so the first alone is called
    for service in ("gateway", "orders"):
        assert hosts_of(copy, service, there) == ["192.168.56.11"]
    machines = {machine["name"]: machine for machine in copy.status(**there)["machines"]}
    assert list(machines) == [
        *("gateway-vm", "inventory-vm", "inventory2-vm", "customers-vm", "orders-vm", "billing-vm")
    ]
    assert machines["inventory2-vm"]["role"] == "inventory"
    assert machines["inventory2-vm"]["address"] == "192.168.56.25"
    outboxes = [(box["machine"], box["process"]) for box in copy.status(**there)["outboxes"]]
    assert ("inventory2-vm", "inventory-relay") in outboxes


def test_the_targets_have_a_sixth_machine(edited: Make) -> None:
    copy = edited(SIXTH_MACHINE, CUSTOMERS)
    rows = json.loads(
        copy.run("-m", "gateway", "targets", values=EXAMPLE | {"INVENTORY2_VM_IP": "192.168.56.15"})
    )
    found = {row["labels"]["machine"]: row["targets"] for row in rows}
    assert found["inventory2-vm"] == ["192.168.56.15:9105"]


def test_on_one_machine_each_role_runs_once(edited: Make) -> None:
    copy = edited(SIXTH_MACHINE, CUSTOMERS)
    assert copy.said("tools.stack.variables", "read()['INVENTORY2_VM_IP']") == "192.168.56.15"
    module = "tools.stack.variables"
    arguments = f"{module}.read(), {module}.ADDRESSES, {{}}, {module}.Path('/')"
    resolved = copy.said(module, f"resolve({arguments})")
    assert "INVENTORY2_VM_IP" not in resolved
    machines = copy.status(**resolved)["machines"]
    assert [machine["name"] for machine in machines] == [m.name for m in TOPOLOGY.machines]


def replaced(old: str, new: str) -> str:
    """topology.yml with something in place of something else."""
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            replaced("    role: orders\n", "    role: order\n"),
            "orders-vm names the role order; there",
        ),
        (
            replaced("consumes: [mail_inbox]", "consumes: [mails]"),
            "mail-worker names the queue mails",
        ),
        (replaced("calls: [inventory, customers]", "calls: [stock]"), "names the role stock"),
        (replaced("ORDERS_VM_IP: 192.168.56.14", "ORDERS_VM_IP: 192.168.56.13"), "default address"),
        (
            replaced("MAIL_WORKER_PORT: 9120", "MAIL_WORKER_PORT: 9107"),
            "the port 9107 is used twice",
        ),
        (
            replaced("MAIL_WORKER_PORT: 9120", "MAIL_WORKER_PORT: 91200"),
            "has to be a port, 1 to 65535",
        ),
        (replaced("MAIL_WORKER_PORT: 9120", "MAIL_WORKER: 9120"), "has to end with _PORT"),
        (
            replaced("MAIL_WORKER_PORT: 9120", "ORDERS_API_PORT: 9120"),
            "ORDERS_API_PORT is used twice",
        ),
        (replaced("customer_events: fanout", "customer_events: direct"), "fanout or topic, and is"),
        (replaced("memory: 1024", "memory: much"), "billing: memory has to be a whole number"),
        (replaced("    entrance: true\n", "    entry: true\n"), "unknown keys: entry"),
        (replaced("servers: [rabbitmq]", "servers: [mysql]"), "names the server mysql"),
        (
            replaced("    limit: {messages", "    kept: {messages"),
            "topology.yml: events_queue has unknown keys: kept; there are variable, bindings, "
            r"former, limit\.$",
        ),
        (
            replaced("  mail_inbox:\n", "  orders_inbox:\n"),
            r"line \d+: orders_inbox is there twice",
        ),
        (
            replaced("[billing_queue, order_bills, billing_inbox]", "[mail_inbox, order_bills]"),
            "share a queue",
        ),
        (
            replaced("      mail-worker:", "      orders-relay2:") + "nothing: 1\n",
            "unknown keys: nothing",
        ),
        (replaced("runs: mail-worker,", "runs: serve,"), "the API serve is used twice"),
        ("- a list\n", "has to be a mapping"),
        ("machines: [\n", "topology.yml, line 2"),
    ],
)
def test_an_error_is_reported_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "topology.yml"
    file.write_text(text)
    with pytest.raises(TopologyError, match=sentence) as raised:
        read_topology(file)
    assert "\n" not in str(raised.value)


def test_a_command_reports_an_invalid_topology_in_one_sentence(edited: Make) -> None:
    copy = edited("    rôle: 1\n", "    role: customers\n")
    for words in (("-m", "tools.stack", "status"), ("-m", "chassis.pm2")):
        done = subprocess.run(
            [sys.executable, *words], cwd=copy.home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert re.fullmatch(r"topology\.yml: .*rôle.*\n", done.stderr)


def test_a_command_says_which_process_of_its_service_is_missing(edited: Make) -> None:
    row = "billing-relay: {runs: rely, port: {BILLING_RELAY_PORT: 9104}}\n"
    copy = edited(f"{row}      # ", "billing-relay: {runs: relay,")
    command = [sys.executable, "-m", "billing", "migrate"]
    done = subprocess.run(command, cwd=copy.home, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "topology.yml: role billing has no process with `runs: relay`\n"


def test_what_is_missing_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^topology\.yml has no process mail-wroker$"):
        TOPOLOGY.process("mail-wroker")
    with pytest.raises(SettingsError, match=r"^topology\.yml has no queue mails$"):
        TOPOLOGY.queue("mails")
    done = subprocess.run(
        [sys.executable, "-m", "chassis.pm2", "order"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "topology.yml has no role order\n")


def test_provisioning_says_which_roles_and_machines_there_are() -> None:
    for words, sentence in (
        (["stock"], "There is no role stock; there are gateway, inventory"),
        (["orders", "billing-vm"], "No machine billing-vm has the role orders; orders-vm have it."),
    ):
        command = [sys.executable, "-m", "provisioning.role", *words]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert sentence in done.stderr
