"""A disturbed network on one machine: rules of nftables on the loopback interface, as root.

All packets to and from one address and port are dropped (`cut`), or 5 % of them (`lossy`), or
redirected through our relay, which delays them by 300 ms each way (`delayed`): many kernels lack
the module netem. https://wiki.nftables.org
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tools.drills.targets.platform import Unsuitable
from tools.drills.workload.delay import MARK, delayed
from tools.stack.errors import StackError

DELAY_SECONDS = 0.3
LOSS = "numgen random mod 100 < 5 "
Address = tuple[str, int]


class Network:
    """Rules in a table of their own, so that all are removed at once."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._name = f"table ip {table}"

    @contextmanager
    def disturbed(self, effect: str, address: Address) -> Iterator[None]:
        """Apply `effect` to all packets to or from `address` in the block. Raises Unsuitable."""
        require_root("nft", "ss")
        try:
            if effect == "delayed":
                with delayed(address, DELAY_SECONDS) as port:
                    self._load(redirection(self._table, address, port))
                    # the redirection does not apply to existing connections
                    cut_connections(address)
                    yield
                    self.calm()
            else:
                self._load(drops(self._table, address, LOSS if effect == "lossy" else ""))
                yield
        finally:
            self.calm()

    def calm(self) -> None:
        """Remove the rules, if there are any."""
        if os.geteuid() == 0 and shutil.which("nft"):
            # adding an existing table is fine, deleting a missing one is an error
            run("nft", "-f", "-", text=f"add {self._name}\ndelete {self._name}\n")

    def _load(self, rules: str) -> None:
        self.calm()
        run("nft", "-f", "-", text=rules)


def drops(table: str, address: Address, which: str = "") -> str:
    """A ruleset that drops the packets from and to an address, or `which` of them."""
    host, port = address
    return f"""\
table ip {table} {{
  chain arriving {{
    type filter hook input priority filter;
    ip daddr {host} tcp dport {port} {which}drop
    ip saddr {host} tcp sport {port} {which}drop
  }}
}}
"""


def redirection(table: str, address: Address, to: int) -> str:
    """A ruleset that redirects new unmarked connections from an address to a local port."""
    host, port = address
    return f"""\
table ip {table} {{
  chain leaving {{
    type nat hook output priority -100;
    meta mark != {MARK} ip daddr {host} tcp dport {port} redirect to :{to}
  }}
}}
"""


def cut_connections(address: Address) -> None:
    """End all connections to an address (`ss -K`), both sides of them."""
    host, port = address
    run("ss", "-K", "-t", "dst", host, "dport", "=", str(port))


def require_root(*programs: str) -> None:
    """Raise Unsuitable without root or one of these programs."""
    missing = [name for name in programs if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        raise Unsuitable("needs " + " and ".join(["root"] * (os.geteuid() != 0) + missing))


def run(*command: str, text: str = "") -> str:
    """Run a command. Raises StackError with its error output when it fails."""
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode:
        raise StackError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
