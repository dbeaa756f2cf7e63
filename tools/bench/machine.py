"""Describes the machine and versions that the figures were measured on."""

import os
import platform
import subprocess
from datetime import datetime, timezone

from tools.bench.environment import Environment
from tools.bench.nginx import PROGRAM as NGINX
from tools.stack.layout import CHECKOUT
from tools.stack.servers.rabbitmq import installed_version

BUSY_ABOVE = 1.0


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def warning(load_before: float) -> str | None:
    """A warning if something else keeps the machine busy, else None."""
    if load_before <= BUSY_ABOVE:
        return None
    return (
        f"The load average was {load_before:.2f} before the start: something else keeps this"
        " machine busy. Compare the ratios alone, which come from turns next to each other."
    )


def now() -> str:
    """The time in UTC, as ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def facts(environment: Environment) -> dict[str, str]:
    """Machine, versions and settings, by name."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"{_distribution()}, Linux {platform.release()}",
        "versions": _versions(environment),
        "PostgreSQL's settings": _durability(environment),
        "servers": _servers(environment),
        "commit": _commit(),
    }


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _versions(environment: Environment) -> str:
    postgresql = environment.query("billing", "SHOW server_version")[0][0].split(" ")[0]
    nginx = _said(NGINX, "-v").rpartition("/")[2]
    wrk = _said("wrk", "-v").split(" ")[1]
    return (
        f"Python {platform.python_version()}, PostgreSQL {postgresql}, "
        f"RabbitMQ {installed_version()}, nginx {nginx}, wrk {wrk}"
    )


def _durability(environment: Environment) -> str:
    names = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
    return ", ".join(
        f"{name} {environment.query('billing', f'SHOW {name}')[0][0]}" for name in names
    )


def _servers(environment: Environment) -> str:
    values = environment.stack.variables
    return ", ".join(
        f"{name} {values[f'{name.upper()}_WORKERS']} processes of"
        f" {values[f'{name.upper()}_THREADS']} threads"
        for name in environment.stack.postgres
    )


def _commit() -> str:
    return _said("git", "-C", str(CHECKOUT), "describe", "--always", "--dirty") or "unknown"


def _said(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.partition("\n")[0].strip()
