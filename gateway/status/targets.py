"""The targets of Prometheus: the address and port of each process's /metrics, and its machine.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config
"""

import json
from typing import Any

from gateway.status.platform import Platform


def targets(platform: Platform) -> list[dict[str, Any]]:
    """Return a target for each process on each machine."""
    return [
        {
            "targets": [f"{process.address}:{process.port}"],
            "labels": {"machine": machine.name, "process": process.name},
        }
        for machine in platform.machines
        for process in machine.processes
    ]


def render(platform: Platform) -> str:
    """Return the text of Prometheus' file of targets, one line per process."""
    lines = ",\n".join(f"  {json.dumps(target)}" for target in targets(platform))
    return f"[\n{lines}\n]"
