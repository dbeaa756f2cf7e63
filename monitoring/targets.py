"""The targets of Prometheus: where each process answers /metrics, and on which machine it is.

    python -m monitoring.targets stack      what ./stack up has started
    python -m monitoring.targets machines   the machines of vagrant up, by .env

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from tools.stack import variables
from tools.stack.command_line import Documented, Known
from tools.stack.layout import PROCESSES
from tools.stack.stack import Stack

PLACES = ("stack", "machines")


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


@click.command(cls=Documented, example="python -m monitoring.targets machines > targets.json")
@click.argument("place", metavar="PLACE", type=Known("place", lambda: PLACES))
def main(place: str) -> None:
    """Write the targets of a PLACE, stack or machines, to standard output."""
    values = Stack.as_started().variables if place == "stack" else variables.read()
    sys.stdout.write(render(values))


if __name__ == "__main__":
    main(prog_name="python -m monitoring.targets")
