"""The baselines that serve HTTP, each run the way its kind usually is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tools.bench.environment import Environment
from tools.bench.programs import Program
from tools.stack import ports
from tools.stack.layout import LOOPBACK


@contextmanager
def naive_gateway(environment: Environment) -> Iterator[str]:
    """Run the tutorial's gateway on Flask's development server; yields its address."""
    port = ports.free_port()
    command = [sys.executable, "-m", "flask", "--app", "tools.bench.baselines.naive_gateway"]
    command += ["run", "--host", LOOPBACK, "--port", str(port)]
    program = Program(environment, "naive gateway")
    with program.serving(command, port, INVENTORY_URL=environment.upstream) as address:
        yield address


@contextmanager
def plain_flask(environment: Environment) -> Iterator[str]:
    """Run Flask on granian, without an upstream; yields its address."""
    port, variables = ports.free_port(), environment.stack.variables
    sizes = [variables["GATEWAY_WORKERS"], variables["GATEWAY_THREADS"]]
    command = [sys.executable, "-m", "tools.bench.baselines.plain", LOOPBACK, str(port), *sizes]
    with Program(environment, "Flask on granian").serving(command, port) as address:
        yield address
