"""TCP ports: a free one, whether one is free, and who holds it."""

import itertools
import os
import random
import socket
from collections.abc import Collection, Iterator
from functools import cache

import psutil

from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.first_look import is_free as is_free

FREE_PORTS = "FREE_PORTS"
"""Variable that says where free ports are looked for, so that runs side by side share none."""
# below the range that outgoing connections take their ports from
DEFAULT = "15000-31999"


def free_port(host: str = "127.0.0.1") -> int:
    """A port of `host` that nobody listens on. Raises StackError if there is none.

    Whoever got one may listen there much later: this process gets it again after all others only.
    Its neighbours are left alone: further instances of a process take the next ports.
    """
    first, last = _limits()
    for port in itertools.islice(_turns(first, last), last + 1 - first):
        if is_free(port, host):
            return port
    raise StackError(f"No free port on {host} between {first} and {last}.")


def _limits() -> tuple[int, int]:
    first, last = os.environ.get(FREE_PORTS, DEFAULT).split("-")
    return int(first), int(last)


@cache
def _turns(first: int, last: int) -> Iterator[int]:
    """The ports in an order of chance, over and over."""
    places = list(range(first, last + 1))
    random.shuffle(places)
    return itertools.cycle(places)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """`count` different free ports of `host`."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port(host))
    return list(found)


def first_free(
    start: int, host: str = "127.0.0.1", avoid: Collection[int] = frozenset[int]()
) -> int:
    """The first free port of `host` from `start` upwards that is none of `avoid`.

    Raises StackError if there is none.
    """
    for port in range(start, start + 100):
        if port not in avoid and is_free(port, host):
            return port
    raise StackError(f"The ports {start} to {start + 99} on {host} are all taken.")


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def holders(port: int, host: str = "127.0.0.1") -> list[int]:
    """The process ids that listen on `host`:`port`, as far as this user may see them.

    One that listens on all addresses is among them; one on another address of the machine is not.
    Of processes that share one socket, as a server's parent and its workers do, one is named.
    """
    addresses = (host, f"::ffff:{host}", "0.0.0.0", "::")
    places = {(address, port) for address in addresses}
    found = (
        entry.pid
        for entry in psutil.net_connections("tcp")
        if entry.status == psutil.CONN_LISTEN and entry.laddr in places
    )
    return sorted({pid for pid in found if pid is not None})


def holder(port: int, host: str = "127.0.0.1") -> str:
    """Who listens on `host`:`port`, in words: its name and process id where they can be seen."""
    found = holders(port, host)
    return f"{processes.name(found[0])} (pid {found[0]})" if found else "another process"
