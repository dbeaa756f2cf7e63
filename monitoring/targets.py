"""The targets of Prometheus: where each process answers /metrics, and on which machine it is.

    python -m monitoring.targets stack      what ./stack up has started
    python -m monitoring.targets machines   the machines of vagrant up, by .env

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from local import variables
from local.layout import PROCESSES
from local.stack import Stack


def targets(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a target for each process, by the variables of machines or of a stack.

    Raises KeyError naming the variable that is missing.
    """
    return [
        {
            "targets": [
                f"{values[f'{process.service.upper()}_VM_IP']}:{values[process.port_variable]}"
            ],
            "labels": {"machine": f"{process.service}-vm", "process": process.name},
        }
        for process in PROCESSES
    ]


def render(values: Mapping[str, str]) -> str:
    """Return the file's text, a line for each process."""
    lines = ",\n".join(f"  {json.dumps(target)}" for target in targets(values))
    return f"[\n{lines}\n]\n"


def main() -> None:
    """Write the targets to standard output."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.targets")
    parser.add_argument("place", choices=["stack", "machines"])
    is_stack = parser.parse_args().place == "stack"
    sys.stdout.write(render(Stack.as_started().variables if is_stack else variables.read()))


if __name__ == "__main__":
    main()
