"""Debian's Prometheus with the project's rules, on fast-forward."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests
import yaml

from tools.stack.layout import CHECKOUT
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until

PROGRAM = CHECKOUT / ".stack" / "prometheus" / "usr" / "bin" / "prometheus"
MONITORING = CHECKOUT / "monitoring"
FASTER = 10
"""A minute of the rules is so many times shorter."""
SCRAPE = "2s"
UNITS = {"s": 1, "m": 60, "h": 3600}
START_SECONDS = 60.0


class Alert(NamedTuple):
    """An alert that fires: its name, and the process or queue that it is about."""

    name: str
    about: str


class Prometheus:
    """Asks a Prometheus for its alerts."""

    def __init__(self, url: str) -> None:
        self._url = url

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return requests.get(f"{self._url}/-/ready", timeout=5).ok
        except requests.RequestException:
            return False

    def firing(self) -> set[Alert]:
        """The alerts that fire now; those that are pending are not among them."""
        answer = requests.get(f"{self._url}/api/v1/alerts", timeout=20)
        answer.raise_for_status()
        alerts = answer.json()["data"]["alerts"]
        return {_alert(alert["labels"]) for alert in alerts if alert["state"] == "firing"}

    def scraped(self) -> int:
        """How many targets answer."""
        query = {"query": "count(up == 1)"}
        answer = requests.get(f"{self._url}/api/v1/query", params=query, timeout=20)
        found = answer.json()["data"]["result"]
        return int(found[0]["value"][1]) if found else 0


def _alert(labels: Mapping[str, str]) -> Alert:
    about = labels.get("queue") or labels.get("process") or ""
    return Alert(labels["alertname"], about)


def targets(variables: Mapping[str, str]) -> str:
    """What the gateway prints for Prometheus by these variables."""
    command = [sys.executable, "-m", "gateway", "targets"]
    done = subprocess.run(
        command, env=dict(variables), cwd=CHECKOUT, check=True, capture_output=True, text=True
    )
    return done.stdout


@contextmanager
def prometheus(home: Path, variables: Mapping[str, str]) -> Iterator[Prometheus]:
    """Run a Prometheus in `home` that watches the stack with these variables."""
    if not PROGRAM.exists():
        subprocess.run([CHECKOUT / ".ci" / "run", "monitoring"], check=True, cwd=CHECKOUT)
    (home / "targets.json").write_text(targets(variables))
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": SCRAPE, "evaluation_interval": "1s"}
    (home / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    (home / "alerts.yml").write_text(yaml.safe_dump(faster_rules()))
    port = free_port()
    command = [str(PROGRAM), f"--config.file={home / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={home / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (home / "prometheus.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            asked = Prometheus(f"http://127.0.0.1:{port}")
            wait_until(asked.is_ready, START_SECONDS, "Prometheus to answer")
            yield asked
        finally:
            server.terminate()
            server.wait(30)


def faster_rules() -> Any:
    """The rules of monitoring/alerts.yml with shorter times: `for`, ranges, and limits of a lag."""
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\w+)\]", _faster_range, rule["expr"])
            rule["expr"] = re.sub(r"(_lag_seconds\{[^}]*\} > )(\d+)", _faster_limit, rule["expr"])
            if "for" in rule:
                rule["for"] = _faster(rule["for"])
    return rules


def _faster(duration: str) -> str:
    number, unit = int(duration[:-1]), duration[-1]
    return f"{number * UNITS[unit] // FASTER}s"


def _faster_range(found: re.Match[str]) -> str:
    return f"[{_faster(found[1])}]"


def _faster_limit(found: re.Match[str]) -> str:
    return f"{found[1]}{int(found[2]) // FASTER}"
