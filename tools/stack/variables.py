"""The variables: from .env (or .env.example), and what they come to on one machine."""

import os
import re
import stat
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from chassis.topology import Role
from chassis.topology_file import read_topology
from tools.stack.errors import StackError
from tools.stack.layout import (
    CHECKOUT,
    LOOPBACK,
    PROCESSES,
    SERVICES,
    SWAGGER_UI,
    TOPOLOGY,
)
from tools.stack.servers.redis import socket_below


def _loopback(role: Role) -> str:
    """An address of its own, as on machines; for the entrance that which people look at."""
    first = TOPOLOGY.machines_of(role.name)[0]
    last = first.address.default.rpartition(".")[2]
    return LOOPBACK if role.entrance else f"127.0.0.{last}"


ADDRESSES = {role.name: _loopback(role) for role in TOPOLOGY.roles if role.processes}
PRIVATE_ADDRESSES = dict.fromkeys(SERVICES, LOOPBACK)
PORTS = (*(process.port_variable for process in PROCESSES), "RABBITMQ_MANAGEMENT_PORT")
# without a default, but from the environment, too
OPTIONAL = (*(name for role in TOPOLOGY.roles for name in role.optional), "PORT_OFFSET")
Variables = dict[str, str]


def source(checkout: Path = CHECKOUT) -> Path:
    """The file that the variables come from: .env, or .env.example where there is none."""
    own = checkout / ".env"
    return own if own.exists() else checkout / ".env.example"


def exposure(checkout: Path = CHECKOUT) -> str | None:
    """A warning if .env exists and its group or all users can read it; None otherwise."""
    own = checkout / ".env"
    if not own.exists() or not own.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return None
    return f"{own} holds passwords, and other users of this machine can read it: chmod 600 {own}"


def example(checkout: Path = CHECKOUT) -> Variables:
    """What .env.example says, whatever the user's own .env does. Raises StackError.

    A port or an address that it lacks has the default of topology.yml.
    """
    return TOPOLOGY.defaults() | parse(checkout / ".env.example")


def read(checkout: Path = CHECKOUT, environment: Mapping[str, str] = os.environ) -> Variables:
    """What the file says, and .env.example or topology.yml where it lacks a line.

    A variable of the same name in the environment wins. Raises StackError naming what is unknown,
    empty or malformed.
    """
    file, text = source(checkout), (checkout / ".env.example").read_text()
    written = parse(file)
    _check_known(written, text, file.name)
    values = example(checkout) | written
    names = [*values, *OPTIONAL]
    values |= {name: environment[name] for name in names if name in environment}
    _check(values)
    return values


def parse(path: Path) -> Variables:
    """What a dotenv file says. Raises StackError naming the first line that says nothing."""
    try:
        bindings = list(parse_stream(StringIO(path.read_text(encoding="utf-8-sig"))))
    except UnicodeDecodeError:
        raise StackError(f"{path.name} is not UTF-8: save it as that.") from None
    except OSError as error:
        raise StackError(f"{path.name} can't be read: {error.strerror}.") from None
    for binding in bindings:
        if binding.error or (binding.key and binding.value is None):
            raise StackError(f"{path.name}, line {_line(binding)}: not NAME=value.")
    return {b.key: b.value or "" for b in bindings if b.key}


def _line(binding: Binding) -> int:
    """The number of the line itself: a binding begins with the empty lines above it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _check_known(written: Variables, example: str, file: str) -> None:
    known = {*re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE)}
    if unknown := sorted(written.keys() - known - _of_topologies()):
        names = ", ".join(unknown)
        raise StackError(f"{file} sets {names}, which .env.example does not know: mistyped?")


def _of_topologies() -> set[str]:
    """The variables that any of the topologies names, whichever is chosen."""
    return {
        name for file in CHECKOUT.glob("topology*.yml") for name in read_topology(file).defaults()
    }


def _check(values: Variables) -> None:
    """Check what ./stack itself uses; what services take, they check (chassis.check_settings)."""
    if empty := sorted(name for name, value in values.items() if not value):
        verb = "is" if len(empty) == 1 else "are"
        raise StackError(f"{', '.join(empty)} {verb} empty: give a value, or remove the line.")
    for name in (*PORTS, "RABBITMQ_PORT"):
        if not _is_port(values[name]):
            raise StackError(f"{name} has to be a port, 1 to 65535, and is {values[name]!r}.")
    if not re.fullmatch("[0-9]{1,5}", offset := values.get("PORT_OFFSET", "0"), re.ASCII):
        raise StackError(f"PORT_OFFSET has to be a whole number, 0 or more, and is {offset!r}.")
    _check_lines(values)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) <= 65535


def _check_lines(values: Variables) -> None:
    for name, value in values.items():
        if any(part in value for part in ("'", "\\", "\n", "${")):
            raise StackError(f"{name} may not hold a single quote, a backslash, a line end or ${{.")


def moved(values: Mapping[str, str]) -> Variables:
    """The variables with all ports of this machine moved by PORT_OFFSET, if it is set.

    Raises StackError if a port would be none any more.
    """
    offset = int(values.get("PORT_OFFSET", "0"))
    ports = {name: int(values[name]) + offset for name in (*PORTS, "RABBITMQ_PORT")}
    for name, port in ports.items():
        if port > 65535:
            raise StackError(
                f"PORT_OFFSET={offset} makes {name} {port}: 65535 is the highest port."
            )
    return {**values, **{name: str(port) for name, port in ports.items()}}


def resolve(
    values: Mapping[str, str], addresses: Mapping[str, str], ports: Mapping[str, int], state: Path
) -> Variables:
    """All variables of a stack on one machine.

    `addresses` has the address of each service, `ports` each port that differs from `values`, by
    variable; `state` is where processes keep what they share. Each role runs once, however many
    machines have it.
    """
    machine = {"RABBITMQ_HOST": LOOPBACK, "STATE_DIR": str(state)}
    machine["SWAGGER_UI_DIR"] = str(SWAGGER_UI)
    machine["REDIS_SOCKET"] = str(socket_below(state.parent))
    for service, address in addresses.items():
        prefix = service.upper()
        machine |= {f"{prefix}_VM_IP": address, f"{prefix}_BIND": address}
        machine[f"{prefix}_DB_HOST"] = LOOPBACK
    further = {
        m.address.name for role in TOPOLOGY.roles for m in TOPOLOGY.machines_of(role.name)[1:]
    }
    own = {name: value for name, value in values.items() if name not in further}
    return {**own, **machine, **{name: str(port) for name, port in ports.items()}}


def render(variables: Mapping[str, str]) -> str:
    """The text of a dotenv file; `_check_lines` has kept out what single quotes can't hold."""
    return "".join(f"{name}='{value}'\n" for name, value in sorted(variables.items()))


def database_ports() -> list[str]:
    """The variables that hold the ports of the services' PostgreSQL clusters."""
    return [f"{service.upper()}_DB_PORT" for service in SERVICES]
