"""The gateway watches the whole platform: each part is probed once at a time, in parallel."""

import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

import gateway.settings
from chassis import VERSION
from chassis.http import app as web
from chassis.http.circuit_breaker import FAILURES, CircuitBreaker
from chassis.settings import BrokerSettings
from gateway.status import machines, ssh
from gateway.status.platform import Machine, Platform, Process
from gateway.status.probe import ProbeError
from gateway.status.prober import EMPTY, watched_queues
from gateway.status.probes import ProbeResult, Probes
from gateway.status.processes import Health
from gateway.status.traffic import Traffic
from provisioning.rabbitmq import definitions
from tests.support import openapi
from tools.stack import variables
from tools.stack.layout import CHECKOUT, PROCESSES
from tools.stack.waiting import wait_until


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> gateway.settings.Settings:
    """The gateway's configuration by .env.example."""
    for name, value in variables.parse(CHECKOUT / ".env.example").items():
        monkeypatch.setenv(name, value)
    return gateway.settings.load()


def queues(settings: BrokerSettings) -> set[str]:
    """All queues that the broker is defined with."""
    known = {
        "RABBITMQ_USER": settings.user,
        "RABBITMQ_PASSWORD": settings.password.get_secret_value(),
        "RABBITMQ_VHOST": settings.vhost,
        "RABBITMQ_QUEUE": settings.queue,
    }
    return {queue["name"] for queue in definitions.definitions(known, "4.0.5")["queues"]}


def test_every_process_is_watched_at_its_port(settings: gateway.settings.Settings) -> None:
    values = variables.parse(CHECKOUT / ".env.example")
    found = {process.name: process.port for process in settings.platform.processes()}
    assert found == {process.name: int(values[process.port_variable]) for process in PROCESSES}


def test_every_machine_is_watched_with_its_database(settings: gateway.settings.Settings) -> None:
    found = {(m.name, m.address, m.database) for m in settings.platform.machines}
    assert found == {
        ("gateway-vm", "192.168.56.10", "gateway_db"),
        ("inventory-vm", "192.168.56.11", "movies_db"),
        ("customers-vm", "192.168.56.13", "customers_db"),
        ("orders-vm", "192.168.56.14", "orders_db"),
        ("billing-vm", "192.168.56.12", "billing_db"),
    }


def test_every_queue_is_watched(settings: gateway.settings.Settings) -> None:
    assert set(watched_queues(settings.platform)) == queues(settings.broker)
    assert settings.platform.others == ("events_queue",)


def test_the_variable_names_the_queue_of_the_bills(
    monkeypatch: pytest.MonkeyPatch, settings: gateway.settings.Settings
) -> None:
    monkeypatch.setenv("RABBITMQ_QUEUE", "factures")
    assert "factures.dlq" in watched_queues(gateway.settings.load().platform)


def test_loopback_addresses_mean_a_stack_on_one_machine(
    settings: gateway.settings.Settings,
) -> None:
    assert settings.platform.kind == "machines"
    here = Platform(tuple(Machine(name, "127.0.0.14", "db", ()) for name in ("one", "two")))
    assert here.kind == "stack"


def test_the_version_is_defined_once_and_the_document_has_it() -> None:
    assert openapi.raw()["info"]["version"] == VERSION
    pyproject = (CHECKOUT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in pyproject
    assert not re.search(r'^version = "', pyproject, re.MULTILINE)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a task of a test waits for; set at the end, so that none is left."""
    event = threading.Event()
    yield event
    event.set()


def test_a_failure_in_a_round_loses_no_other_result() -> None:
    def away() -> None:
        raise ProbeError("connection refused")

    found = Probes({"away": away, "here": lambda: 7}, seconds=60).run()
    assert found == {"away": ProbeResult(failure="connection refused"), "here": ProbeResult(7)}


def test_a_bug_is_logged_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    empty: dict[str, int] = {}
    found = Probes({"wrong": lambda: empty["nothing"]}, seconds=60).run()
    assert found["wrong"] == ProbeResult(failure="'nothing'")
    assert "can't be watched" in caplog.text


def test_a_late_probe_delays_no_round_and_is_not_repeated(gate: threading.Event) -> None:
    asked: list[str] = []

    def late() -> str:
        asked.append("late")
        gate.wait()
        return "at last"

    repeated = Probes({"late": late, "here": lambda: 7}, seconds=0.5)
    for _ in range(3):
        assert repeated.run()["late"] == ProbeResult(failure="no answer within 0.5 s")
    wait_until(lambda: repeated.run()["here"] == ProbeResult(7), 20, "the other")
    assert asked == ["late"]
    gate.set()
    wait_until(lambda: repeated.run()["late"] == ProbeResult("at last"), 20, "who was late")


def test_traffic_has_the_rate_of_api_requests_and_of_their_failures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    app = web.create_app("gateway", ready=[])
    app.add_url_rule("/api/movies", view_func=lambda: "", endpoint="fine")
    app.add_url_rule("/api/billing", view_func=lambda: str(1 / 0), endpoint="failing")
    app.add_url_rule("/api/status", view_func=lambda: "", endpoint="status")
    client, looked = app.test_client(), Traffic()
    assert looked.rate()[:3] == (0.0, 0.0, 0.0)
    for path in (*["/api/movies"] * 6, *["/api/billing"] * 2, "/api/status", "/ready", "/metrics"):
        client.get(path)
    now += 4
    assert looked.rate()[:3] == (2.0, 0.25, 4.0)
    now += 8
    # the look before the requests is more than ten seconds old
    assert looked.rate()[:3] == (0.0, 0.0, 8.0)


def test_the_state_of_a_circuit_is_shown() -> None:
    circuit = CircuitBreaker("shown-api")
    assert {"name": "shown-api", "circuit": "closed"} in Traffic().rate().upstreams
    for _ in range(FAILURES):
        circuit.record(circuit.admit(), False)
    assert {"name": "shown-api", "circuit": "open"} in Traffic().rate().upstreams


@pytest.mark.parametrize(
    ("address", "healths", "ssh_answers", "status"),
    [
        ("192.168.56.14", {}, ProbeResult(), "down"),
        ("192.168.56.14", {}, ProbeResult(failure="connection refused"), "down"),
        ("192.168.56.14", {"orders-api": ProbeResult(Health("down"))}, ProbeResult(), "down"),
        ("192.168.56.14", {}, ProbeResult(True), "up"),
        ("192.168.56.14", {"orders-api": ProbeResult(Health("unready"))}, ProbeResult(), "up"),
        ("127.0.0.14", {}, ProbeResult(), "up"),
    ],
)
def test_a_machine_is_up_if_its_ssh_server_or_a_process_answers(
    address: str, healths: dict[str, ProbeResult], ssh_answers: ProbeResult, status: str
) -> None:
    process = Process("orders-api", address, 8080)
    machine = Machine("orders-vm", address, "orders_db", (process,))
    found = {process.key: healths["orders-api"]} if healths else {}
    snapshot = EMPTY._replace(health=found, ssh={"orders-vm": ssh_answers})
    assert machines.shown(machine, snapshot)["status"] == status


def test_an_ssh_server_answers_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(ssh, "PORT", server.getsockname()[1])
        assert ssh.is_up("127.0.0.1")
    with pytest.raises(ProbeError, match="refused"):
        ssh.is_up("127.0.0.1")
