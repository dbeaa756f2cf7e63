"""monitoring/ watches what there is: each process at its address, and no metric that nobody has."""

import json
import re
import threading
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import gateway.settings
from chassis.messaging.batch_processor import BatchProcessor
from gateway.status.targets import render
from orders.mail.outcomes import MAILS
from orders.mail.sender import Sender
from tools.stack import variables
from tools.stack.layout import CHECKOUT, PROCESSES, SERVICES

HOME = CHECKOUT / "monitoring"
EXAMPLE = variables.parse(CHECKOUT / ".env.example")
PAGE = (CHECKOUT / "docs" / "monitoring.md").read_text()
# what Prometheus and its Python client say of any process
OF_ANY_PROCESS = {"up", "process_start_time_seconds"}
PLACES = {
    "machines": EXAMPLE,
    "stack": variables.resolve(EXAMPLE, variables.ADDRESSES, {}, Path("/tmp")),
}


def parsed(name: str) -> Any:
    """A YAML file of monitoring/."""
    return yaml.safe_load((HOME / name).read_text())


def rules() -> list[dict[str, Any]]:
    """All alerts."""
    return [rule for group in parsed("alerts.yml")["groups"] for rule in group["rules"]]


def metrics() -> dict[str, tuple[str, ...]]:
    """Kind and labels of each metric of the code, by its name."""
    files = (file for part in ("chassis", *SERVICES) for file in (CHECKOUT / part).rglob("*.py"))
    makers = (file for file in files if "from prometheus_client" in file.read_text())
    names = (".".join(file.relative_to(CHECKOUT).with_suffix("").parts) for file in makers)
    modules = map(import_module, names)
    made = (thing for module in modules for thing in vars(module).values())
    return dict(map(_described, filter(lambda thing: isinstance(thing, MetricWrapperBase), made)))


def _described(metric: MetricWrapperBase) -> tuple[str, tuple[str, ...]]:
    [said] = metric.describe()
    name = f"{said.name}_total" if said.type == "counter" else said.name
    return name, (said.type, *metric._labelnames)


def found(monkeypatch: pytest.MonkeyPatch, place: str, **others: str) -> dict[str, str]:
    """The targets by the processes' names, by the variables of a place and by others."""
    for name, value in (PLACES[place] | others).items():
        monkeypatch.setenv(name, value)
    targets = json.loads(render(gateway.settings.load().platform))
    return {target["labels"]["process"]: target["targets"][0] for target in targets}


@pytest.mark.parametrize("place", PLACES)
def test_the_targets_are_the_processes_at_their_addresses(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    values = PLACES[place]
    addresses = {p.name: values[f"{p.service.upper()}_VM_IP"] for p in PROCESSES}
    wanted = {p.name: f"{addresses[p.name]}:{values[p.port_variable]}" for p in PROCESSES}
    assert found(monkeypatch, place) == wanted


def test_another_port_is_another_target(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, "machines", GATEWAY_PORT="9000")["gateway"] == "192.168.56.10:9000"


def test_every_alert_has_a_severity_and_instructions() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires: dict[str, set[bool]] = {rule["alert"]: set() for rule in rules()}
    for test in parsed("tests.yml")["tests"]:
        for case in test["alert_rule_test"]:
            fires[case["alertname"]].add(bool(case.get("exp_alerts")))
    assert {name for name, cases in fires.items() if cases != {True, False}} == set()


def test_alerts_use_existing_metrics() -> None:
    known = set(metrics()) | OF_ANY_PROCESS
    for rule in rules():
        used = re.findall(r"\b([a-z_]+)\{", rule["expr"])
        names = {re.sub("_(bucket|count|sum)$", "", name) for name in used}
        assert names and names <= known, rule["alert"]


def test_the_document_has_every_metric_with_its_kind_and_labels() -> None:
    section = PAGE.partition("## Metrics\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", section, re.MULTILINE)
    documented = {name: (kind, *re.findall(r"`(\w+)`", labels)) for name, kind, labels in rows}
    assert documented == metrics()


def test_counters_of_refusals_start_at_zero_so_the_first_one_is_an_increase() -> None:
    MAILS.clear()  # other tests have sent some
    stop = threading.Event()
    BatchProcessor("tests-queue", Mock(), stop, Mock())
    Sender(Mock(), Mock(), "orders@localhost", "tests-queue.dlq", stop)
    refused = {"outcome": "refused"}
    for name, own in (
        ("messages_consumed_total", {"queue": "tests-queue"}),
        ("mails_total", {"step": "created"}),
    ):
        assert REGISTRY.get_sample_value(name, refused | own) == 0
