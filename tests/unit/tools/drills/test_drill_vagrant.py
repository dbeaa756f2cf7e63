"""What drills run on machines: by a `vagrant` and an `ssh` that note how they are called."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.drills import faults, infrastructure_faults
from tools.drills.fault_context import FaultContext
from tools.drills.targets import machine_commands, machine_disk_commands
from tools.drills.targets.platform import Unsuitable
from tools.drills.targets.vagrant import Vagrant
from tools.drills.targets.vagrant_platform import VagrantPlatform
from tools.drills.targets.vagrant_source import machine, service_of
from tools.stack import ports, variables
from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT, PROCESSES, SERVICES

PROGRAM = """\
#!/bin/bash
shopt -s nullglob
text=$([[ $0 == */ssh ]] && cat)
printf '%s\\0' "${0##*/}" "$@" "$text" >"$CALLS.$$"
printf '\\n' >>"$CALLS.$$"
# one write, since calls from several threads go to the same file
cat "$CALLS.$$" >>"$CALLS"
for answer in "$ANSWERS"/*; do
  if [[ "$* $text" == *"$(head -n 1 "$answer")"* ]]; then
    tail -n +3 "$answer"
    exit "$(sed -n 2p "$answer")"
  fi
done
"""
Answer = Callable[..., None]


class Calls:
    """How the programs were called so far."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def all(self) -> list[list[str]]:
        """The words of each call, standard input last."""
        lines = self._file.read_text().split("\0\n") if self._file.exists() else []
        return [line.split("\0") for line in lines if line]

    def on_machines(self) -> list[tuple[str, str, str]]:
        """Machine, command and standard input of each that went over SSH."""
        found = [call for call in self.all() if call[0] == "ssh"]
        return [(call[-3], call[-2].removeprefix("bash -lc "), call[-1]) for call in found]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Programs of our own in place of Vagrant and ssh."""
    for name in ("vagrant", "ssh"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(PROGRAM)
        program.chmod(0o755)
    (tmp_path / "answers").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("ANSWERS", str(tmp_path / "answers"))
    return Calls(tmp_path / "calls")


@pytest.fixture
def answer(tmp_path: Path) -> Answer:
    """Have calls that hold some words answered, with an exit status."""

    def prepare(words: str, text: str = "", status: int = 0) -> None:
        directory = tmp_path / "answers"
        file = directory / f"{len(list(directory.iterdir())):03}"
        file.write_text(f"{words}\n{status}\n{text}")

    return prepare


@pytest.fixture
def platform(calls: Calls, tmp_path: Path) -> VagrantPlatform:
    """The platform of machines that are not there."""
    vagrant = Vagrant(tmp_path, tmp_path / "state")
    return VagrantPlatform(vagrant, variables.parse(CHECKOUT / ".env.example"))


def _quick(platform: VagrantPlatform, seconds: float = 0.01) -> FaultContext:
    return FaultContext(platform, random.Random(1), "run", seconds, lambda _w: None, lambda: None)


@pytest.mark.parametrize(
    "fault",
    [
        faults.processes_killed,
        faults.gateway_killed,
        faults.broker_killed,
        faults.services_frozen,
    ],
)
def test_a_fault_ends_after_its_last_step(
    platform: VagrantPlatform, calls: Calls, fault: faults.Fault
) -> None:
    last = [0.0]
    context = FaultContext(
        platform, random.Random(1), "run", 1.5, lambda _w: None, lambda: last.append(time.time())
    )
    fault(context)
    # whatever waits reports its progress repeatedly
    assert (Path(os.environ["CALLS"])).stat().st_mtime >= last[-1]


def test_the_crowd_works_only_while_inventory_is_frozen(
    platform: VagrantPlatform, calls: Calls
) -> None:
    steps: list[str] = []

    @contextmanager
    def crowd() -> Iterator[None]:
        steps.extend([*map(str, calls.on_machines()), "crowd"])
        yield
        steps.extend([*map(str, calls.on_machines()[-1:]), "crowd ends"])

    context = FaultContext(
        platform, random.Random(1), "run", 0.1, lambda _w: None, lambda: None, crowd=crowd
    )
    faults.services_frozen(context)
    frozen, began, still_frozen, ended = steps
    assert "inventory-vm" in frozen and "STOP" in frozen
    assert (began, still_frozen, ended) == ("crowd", frozen, "crowd ends")
    assert len(calls.on_machines()) == 2 * (1 + len(faults.FROZEN))


@pytest.mark.parametrize(
    ("process", "where"), [("billing-consumer", "billing-vm"), ("mail-worker", "orders-vm")]
)
def test_processes_are_stopped_and_started_where_they_are(
    platform: VagrantPlatform, calls: Calls, process: str, where: str
) -> None:
    platform.stop_process(process)
    platform.start_process(process)
    assert calls.on_machines() == [
        (where, f"'pm2 stop {process}'", ""),
        (where, f"'pm2 start {process}'", ""),
    ]


def test_vagrant_is_called_by_one_thread_at_a_time(
    calls: Calls, tmp_path: Path, platform: VagrantPlatform
) -> None:
    busy, overlaps = tmp_path / "busy", tmp_path / "overlaps"
    program = tmp_path / "bin" / "vagrant"
    alone = f"mkdir {busy} || touch {overlaps}; sleep 0.05; rmdir {busy}\n"
    program.write_text(PROGRAM + alone)
    with ThreadPoolExecutor(len(SERVICES) + 1) as pool:
        boot = pool.submit(platform.boot, "orders-vm")
        platform.restart_all()
        boot.result()
    asked = [call[1] for call in calls.all() if call[0] == "vagrant"]
    assert sorted(asked) == ["ssh-config"] * len(SERVICES) + ["up"]
    assert not overlaps.exists()


def test_each_process_belongs_to_a_machine() -> None:
    machines = {machine(service_of(process.name)) for process in PROCESSES}
    assert machines == {
        "gateway-vm",
        "inventory-vm",
        "billing-vm",
        "customers-vm",
        "orders-vm",
    }
    assert machine(service_of("rabbitmq")) == "billing-vm"
    assert machine(service_of("postgresql-customers")) == "customers-vm"


def test_a_query_goes_over_standard_input_and_its_rows_come_back(
    platform: VagrantPlatform, calls: Calls, answer: Answer
) -> None:
    answer("psql", '[{"id": 1, "name": "it\'s"}]')
    select = "SELECT id, name FROM customers WHERE name = 'it''s'"
    assert platform.rows("customers", select) == [{"id": 1, "name": "it's"}]
    [(where, command, text)] = calls.on_machines()
    assert where == "customers-vm"
    assert "sudo -u postgres psql" in command
    assert "-d customers_db" in command
    assert select in text


def test_a_database_that_does_not_answer_is_reported_in_one_sentence(
    platform: VagrantPlatform, answer: Answer
) -> None:
    answer("psql", "", 2)
    with pytest.raises(
        StackError, match=r"^billing-vm: no output \(status 2 of sudo -u postgres psql "
    ):
        platform.rows("billing", "SELECT 1")


def test_ssh_is_configured_by_vagrant_once_and_again_when_it_fails(
    platform: VagrantPlatform, calls: Calls, answer: Answer
) -> None:
    platform.stop_process("gateway")
    platform.stop_process("gateway")
    assert [call[1] for call in calls.all() if call[0] == "vagrant"] == ["ssh-config"]
    answer("pm2 start", "", 255)
    with pytest.raises(StackError):
        platform.start_process("gateway")
    assert [call[1] for call in calls.all() if call[0] == "vagrant"] == ["ssh-config"] * 2


@pytest.mark.parametrize("effect", ["cut", "delayed", "lossy"])
def test_a_disturbed_network_is_restored_whatever_happens(
    platform: VagrantPlatform, calls: Calls, effect: str
) -> None:
    with pytest.raises(RuntimeError), platform.disturb(effect, "inventory-api"):
        raise RuntimeError
    first, last = (command for _machine, command, _text in calls.on_machines())
    if effect == "delayed":
        assert "netem delay 300ms" in first
        assert "192.168.56.11/32" in first
    else:
        assert "tcp dport 8080" in first
        assert ("numgen random mod 100 < 5 drop" in first) is (effect == "lossy")
    assert f"nft delete table inet {machine_commands.TABLE}" in last
    assert "tc qdisc del" in last


def test_a_machine_without_netem_is_skipped(platform: VagrantPlatform, answer: Answer) -> None:
    answer("netem", "Specified qdisc kind is unknown.", 2)
    with (
        pytest.raises(Unsuitable, match="qdisc kind is unknown"),
        platform.disturb("delayed", "rabbitmq"),
    ):
        pass


def test_machines_are_halted_in_turn_and_started_again(
    platform: VagrantPlatform, calls: Calls
) -> None:
    infrastructure_faults.machines_halted(_quick(platform))
    acts = [call[1:3] for call in calls.all() if call[0] == "vagrant"]
    assert sorted(acts) == sorted(
        [act, name] for act in ("halt", "up") for name in platform.machines()
    )
    assert all(acts[n][0] == "halt" and acts[n + 1] == ["up", acts[n][1]] for n in range(0, 10, 2))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.consumer_stopped, ["pm2 stop billing-consumer", "pm2 start billing-consumer"]),
        (faults.broker_stopped, ["systemctl stop rabbitmq", "systemctl start rabbitmq"]),
        (faults.broker_killed, ["systemctl kill -s KILL rabbitmq", "systemctl start rabbitmq"]),
        (faults.pm2_frozen, [*["kill -STOP"] * 5, *["kill -CONT"] * 5]),
        (faults.broker_alarmed, ["set_disk_free_limit 1000000", "set_disk_free_limit 512MB"]),
    ],
)
def test_a_fault_is_made_and_undone(
    platform: VagrantPlatform, calls: Calls, fault: faults.Fault, words: list[str]
) -> None:
    fault(_quick(platform))
    commands = [command for _machine, command, _text in calls.on_machines()]
    assert len(commands) == len(words)
    assert all(word in command for word, command in zip(words, commands, strict=True))


def test_each_database_is_made_read_only_in_turn_and_writable_again(
    platform: VagrantPlatform, calls: Calls, answer: Answer
) -> None:
    answer("pg_terminate_backend", "[]")
    faults.databases_read_only(_quick(platform, 0.1))
    acts = [(where, text) for where, _command, text in calls.on_machines()]
    assert len(acts) == 4 * len(SERVICES)
    for number, (where, text) in enumerate(acts[::2]):
        database = platform._values[f"{where.removesuffix('-vm').upper()}_DB_NAME"]
        change = ("SET", "RESET")[number % 2]
        assert f'ALTER DATABASE "{database}" {change} default_transaction_read_only' in text
    assert all("pg_terminate_backend" in text for _where, text in acts[1::2])
    # a session that is read-only could not undo it
    assert all("-d postgres" in command for _m, command, _t in calls.on_machines()[::2])


def test_a_repair_resumes_pm2_before_it_asks_it_anything(
    platform: VagrantPlatform, calls: Calls, answer: Answer
) -> None:
    _prepare_whole(answer)
    platform.repair()
    steps = [command for _m, command, _t in calls.on_machines() if "pm2 start" in command]
    assert len(steps) == len(SERVICES)
    assert all(step.index("-CONT") < step.index("pm2 pid") for step in steps)
    texts = [text for _machine, _command, text in calls.on_machines()]
    assert sum("RESET default_transaction_read_only" in text for text in texts) == len(SERVICES)


TUNNEL = """\
#!{python}
import socket, sys
if "-L" not in sys.argv:
    sys.exit()
here = sys.argv[sys.argv.index("-L") + 1].split(":")
with socket.create_server((here[0], int(here[1]))) as server:
    while True:
        with server.accept()[0] as client:
            client.sendall(":".join(here[2:]).encode())
"""


def _put_ssh(tmp_path: Path, text: str) -> None:
    (tmp_path / "bin" / "ssh").write_text(text)


def test_a_tunnel_leads_to_a_port_of_a_machine_and_ends_with_its_block(
    calls: Calls, tmp_path: Path
) -> None:
    _put_ssh(tmp_path, TUNNEL.format(python=sys.executable))
    with (
        Vagrant(tmp_path, tmp_path / "state").tunnel("billing-vm", 5672) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as client,
    ):
        assert client.recv(100) == b"127.0.0.1:5672"
    assert not ports.accepts(port)


def test_a_tunnel_that_ssh_does_not_make_is_reported_in_one_sentence(
    calls: Calls, tmp_path: Path
) -> None:
    _put_ssh(tmp_path, "#!/bin/sh\ncase $* in *-L*) exit 255 ;; esac\n")
    vagrant = Vagrant(tmp_path, tmp_path / "state")
    with (
        pytest.raises(StackError, match="open a tunnel to billing-vm"),
        vagrant.tunnel("billing-vm", 5672),
    ):
        pytest.fail("there is a tunnel")


def test_a_server_is_frozen_and_resumed_with_its_workers(
    platform: VagrantPlatform, calls: Calls
) -> None:
    faults.services_frozen(_quick(platform))
    commands = [command for _machine, command, _text in calls.on_machines()]
    signs = ["STOP" if "kill -STOP" in command else "CONT" for command in commands]
    assert signs == ["STOP", "CONT"] * (1 + len(faults.FROZEN))
    assert all("pgrep -P" in command for command in commands)


@pytest.mark.parametrize(("words", "status"), [("mount -o loop", 1), ("mount -o loop", 255)])
def test_a_disk_that_cannot_be_made_for_another_reason_is_an_error(
    platform: VagrantPlatform, answer: Answer, words: str, status: int
) -> None:
    answer(words, "No space left on device", status)
    with pytest.raises(StackError, match="No space left"), platform.full_disk("rabbitmq"):
        pytest.fail("the disk was made")


def test_a_network_that_cannot_be_disturbed_for_another_reason_is_an_error(
    platform: VagrantPlatform, answer: Answer
) -> None:
    answer("netem", "Connection timed out", 255)
    with (
        pytest.raises(StackError, match="timed out"),
        platform.disturb("delayed", "inventory-api"),
    ):
        pytest.fail("the network was disturbed")


def test_a_machine_that_cannot_mount_a_file_is_skipped(
    platform: VagrantPlatform, answer: Answer
) -> None:
    answer("mount -o loop", "", machine_disk_commands.NO_LOOP)
    with pytest.raises(Unsuitable, match="can mount a file"), platform.full_disk("rabbitmq"):
        pass


def test_a_disk_that_was_filled_is_whole_again_afterwards(
    platform: VagrantPlatform, calls: Calls
) -> None:
    with platform.full_disk("postgresql-billing") as disk:
        infrastructure_faults.disk_filled(_quick(platform), disk)
    moved, filled, freed, whole = (command for _machine, command, _text in calls.on_machines())
    assert "/var/lib/postgresql" in moved
    assert "dd if=/dev/zero of=/var/lib/postgresql/filler" in filled
    assert "rm -f /var/lib/postgresql/filler" in freed
    assert "umount /var/lib/postgresql" in whole


def _prepare_whole(answer: Answer) -> None:
    for service in SERVICES:
        names = [process.name for process in PROCESSES if process.service == service]
        entries = [{"name": name, "pm2_env": {"status": "online"}} for name in names]
        answer(f"{machine(service)} bash -lc 'pm2 jlist'", f"a banner\n{json.dumps(entries)}")
    answer("pg_terminate_backend", "[]")


def test_the_platform_is_up_when_all_its_processes_are_online(
    platform: VagrantPlatform, answer: Answer
) -> None:
    _prepare_whole(answer)
    assert platform.is_healthy()


def test_the_platform_is_degraded_while_a_machine_does_not_answer(
    platform: VagrantPlatform, answer: Answer
) -> None:
    answer("pm2 jlist", "", 255)
    assert not platform.is_healthy()
    with pytest.raises(StackError, match="vagrant up"):
        platform.check()


@pytest.mark.parametrize(
    "script",
    [
        machine_commands.kill("gateway"),
        machine_commands.freeze_pm2(),
        machine_commands.thaw_pm2(),
        machine_commands.freeze("gateway"),
        machine_disk_commands.small_disk("rabbitmq"),
        machine_disk_commands.whole_disk("rabbitmq"),
        machine_commands.disturbing("cut", "192.168.56.11", 8080),
        machine_commands.calming("192.168.56.11"),
        machine_commands.logs(0),
        machine_commands.mails(),
        machine_commands.orphans(),
    ],
)
def test_scripts_for_machines_are_bash(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("pid", ["", "0"])
@pytest.mark.parametrize("act", ["kill", "freeze", "thaw"])
def test_a_process_that_does_not_run_gets_no_signal(tmp_path: Path, pid: str, act: str) -> None:
    for name, text in (("pm2", f"echo {pid}"), ("sudo", "echo called")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    command = getattr(machine_commands, act)("gateway")
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], env=path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
