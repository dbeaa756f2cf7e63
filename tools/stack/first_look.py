"""Which ports are taken, and by whom: looked at before anything is installed.

    python3 -m tools.stack.first_look

Nothing but the standard library: the shell script `stack` runs this by the system's own Python.
It reads topology.yml by its lines, since YAML is not in the standard library; what it does not
understand, it does not look at, and `./stack up` looks again once all is installed.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[2]
PROC = Path("/proc")
LOOPBACK = "127.0.0.1"
OFFSET = "PORT_OFFSET"
STEP = 1000
HIGHEST = 65535
_LINE = re.compile(
    r"""^\s*(?:export\s+)?([A-Z0-9_]+_PORT|PORT_OFFSET)\s*=\s*["']?(\d{1,5})\b""", re.MULTILINE
)


class Place(NamedTuple):
    """A port that a stack wants to listen on, and the variable that says which."""

    variable: str
    port: int
    host: str


class Running(NamedTuple):
    """A stack that runs: of which checkout, and with which ports."""

    checkout: Path
    ports: frozenset[int]


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `host`:`port` now.

    Asks without SO_REUSEPORT, so that a port shared by such servers counts as taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError):
            return False
    return True


def running() -> list[Running]:
    """The stacks that run on this machine, as far as this user may see their processes."""
    files = {}
    for process in PROC.glob("[0-9]*"):
        own = _environment(process)
        if "PM2_HOME" in own and "ROOT" in own and "ENV_FILE" in own:
            files[own["ENV_FILE"]] = Path(own["ROOT"])
    return [Running(root, _ports(Path(file))) for file, root in files.items()]


def _ports(file: Path) -> frozenset[int]:
    return frozenset(port for name, port in _written(file).items() if name != OFFSET)


def _environment(process: Path) -> dict[str, str]:
    try:
        text = (process / "environ").read_text(errors="replace")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def _written(file: Path) -> dict[str, int]:
    """The ports that a dotenv file sets; none if it can't be read."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return {}
    return {name: int(port) for name, port in _LINE.findall(text)}


def offset_beside(places: Sequence[Place], offset: int) -> int | None:
    """A PORT_OFFSET with which all places are free; `offset` is today's. None if there is none."""
    for more in range(STEP, 10 * STEP + 1, STEP):
        moved = [(place.port + more, place.host) for place in places]
        if all(port <= HIGHEST and is_free(port, host) for port, host in moved):
            return offset + more
    return None


def sentence(
    taken: Sequence[Place],
    places: Sequence[Place],
    offset: int,
    others: Iterable[Running],
    holder: Callable[[int, str], str],
) -> str:
    """Say which ports are taken, by whom, and what to do.

    Args:
        taken: what is taken, at least one.
        places: all that the stack wants.
        offset: today's PORT_OFFSET.
        others: stacks that run.
        holder: says in words who listens on a port of a host.
    """
    words, left = [], list(taken)
    for other in others:
        held = [place for place in left if place.port in other.ports]
        left = [place for place in left if place not in held]
        if held:
            words.append(_of_checkout(other.checkout, held))
    if left:
        words.append(_of_others(left, holder))
    if (free := offset_beside(places, offset)) is not None:
        words.append(f"Or start this one beside, with all ports moved: {OFFSET}={free} ./stack up")
    return " ".join(words)


def _of_checkout(checkout: Path, held: Sequence[Place]) -> str:
    numbers = ", ".join(dict.fromkeys(str(place.port) for place in held))
    ports = "port" if len(held) == 1 else "ports"
    return (
        f"Another stack of this project, that of {checkout}, holds {ports} {numbers}: "
        "end it there (./stack down)."
    )


def _of_others(left: Sequence[Place], holder: Callable[[int, str], str]) -> str:
    holders = (
        f"port {place.port} on {place.host} is taken by {holder(place.port, place.host)}"
        for place in left
    )
    them, others = ("it", "another port") if len(left) == 1 else ("them", "other ports")
    names = " and ".join(place.variable for place in left)
    return (
        f"P{'; '.join(holders)[1:]}: end {them}, or set {names} to {others}"
        " in .env (cp .env.example .env, if there is none yet)."
    )


def hosts(topology: str) -> dict[str, str]:
    """The variable of each port that must be free, and its address on one machine.

    Args:
        topology: the text of topology.yml.
    """
    section = item = ""
    roles: dict[str, str] = {}  # of machines
    addresses: dict[str, str] = {}  # of roles
    ports: dict[str, str] = {}
    for line in topology.splitlines():
        if found := re.match(r"(\w+):", line):
            section = found[1]
        elif found := re.match(r"  ([\w-]+):", line):
            item = found[1]
        elif found := re.match(r"    role: ([\w-]+)", line):
            roles[item] = found[1]
        elif found := re.match(r"    address: \{\w+: [\d.]+\.(\d+)\}", line):
            addresses.setdefault(roles.get(item, ""), f"127.0.0.{found[1]}")
        elif section == "roles" and re.match(r"    entrance: true", line):
            addresses[item] = LOOPBACK
        elif section == "roles" and (found := re.search(r"\bport: \{(\w+):", line)):
            ports[found[1]] = item
    known = {name: addresses[role] for name, role in ports.items() if role in addresses}
    return {**known, "RABBITMQ_MANAGEMENT_PORT": LOOPBACK}


def look(checkout: Path, environment: Mapping[str, str]) -> str:
    """Say which ports are taken, or nothing: where none is, or this checkout's own stack runs."""
    values = _written(checkout / ".env.example") | _written(checkout / ".env")
    lines = "\n".join(f"{name}={value}" for name, value in environment.items())
    values |= {name: int(port) for name, port in _LINE.findall(lines)}
    offset = values.get(OFFSET, 0)
    places = hosts((checkout / "topology.yml").read_text()).items()
    wanted = [Place(name, values[name] + offset, host) for name, host in places if name in values]
    # `./stack up` itself says which variable holds no port
    wanted = [place for place in wanted if place.port <= HIGHEST]
    stacks = running()
    if any(stack.checkout == checkout for stack in stacks):
        return ""
    taken = [place for place in wanted if not is_free(place.port, place.host)]
    if not taken:
        return ""
    return sentence(taken, wanted, offset, stacks, lambda _port, _host: "another program")


if __name__ == "__main__":
    if problem := look(CHECKOUT, os.environ):
        sys.exit(problem)
