"""The variables: from .env (or .env.example), and what they come to on one machine."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from local.errors import StackError
from local.layout import CHECKOUT, LOOPBACK, PROCESSES, SERVICES

# every service on an address of its own, as on machines; the gateway where people look for it
ADDRESSES = {"gateway": LOOPBACK, "inventory": "127.0.0.11", "billing": "127.0.0.12"}
PRIVATE_ADDRESSES = dict.fromkeys(SERVICES, LOOPBACK)
PORTS = (*(process.port_variable for process in PROCESSES), "RABBITMQ_MANAGEMENT_PORT")
Variables = dict[str, str]


def source(checkout: Path = CHECKOUT) -> Path:
    """The file that the variables come from: .env, or .env.example where there is none."""
    own = checkout / ".env"
    return own if own.exists() else checkout / ".env.example"


def read(checkout: Path = CHECKOUT, environment: Mapping[str, str] = os.environ) -> Variables:
    """What the file says; a variable of the same name in the environment wins.

    Raises StackError naming what is missing or malformed.
    """
    example = parse(checkout / ".env.example")
    written = parse(source(checkout))
    values = {n: environment.get(n, written.get(n, "")) for n in {**example, **written}}
    _check(values, example, source(checkout).name)
    return values


def parse(path: Path) -> Variables:
    """What a dotenv file says."""
    return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}


def _check(values: Variables, required: Variables, file: str) -> None:
    missing = sorted(name for name in required if not values[name])
    if missing:
        raise StackError(
            f"{file} lacks {', '.join(missing)}: copy the line from .env.example and adapt it."
        )
    for name in (*PORTS, "RABBITMQ_PORT"):
        if not (values[name].isdecimal() and 0 < int(values[name]) < 65536):
            raise StackError(f"{name} has to be a port, 1 to 65535, and is {values[name]!r}.")
    _check_lines(values)


def _check_lines(values: Variables) -> None:
    for name, value in values.items():
        if any(part in value for part in ("'", "\\", "\n", "${")):
            raise StackError(f"{name} may not hold a single quote, a backslash, a line end or ${{.")


def resolve(
    values: Mapping[str, str], addresses: Mapping[str, str], ports: Mapping[str, int], state: Path
) -> Variables:
    """All variables of a stack on one machine.

    `addresses` has the address of each service, `ports` each port that differs from `values`, by
    variable; `state` is where processes keep what they share.
    """
    machine = {"RABBITMQ_HOST": LOOPBACK, "STATE_DIR": str(state)}
    for service, address in addresses.items():
        prefix = service.upper()
        machine |= {f"{prefix}_VM_IP": address, f"{prefix}_BIND": address}
        machine[f"{prefix}_DB_HOST"] = LOOPBACK
    return {**values, **machine, **{name: str(port) for name, port in ports.items()}}


def render(variables: Mapping[str, str]) -> str:
    """The text of a dotenv file; `_check_lines` has kept out what single quotes can't hold."""
    return "".join(f"{name}='{value}'\n" for name, value in sorted(variables.items()))


def database_ports() -> list[str]:
    """The variables that hold the ports of the services' PostgreSQL clusters."""
    return [f"{service.upper()}_DB_PORT" for service in SERVICES]
