"""The rivals that serve HTTP, each run as its kind is run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tools.bench.environment import Stage
from tools.bench.programs import Program
from tools.stack import ports
from tools.stack.layout import LOOPBACK


@contextmanager
def naive_gateway(stage: Stage) -> Iterator[str]:
    """Run the tutorial's gateway on Flask's development server; lends its address."""
    port = ports.free_port()
    command = [sys.executable, "-m", "flask", "--app", "tools.bench.baselines.naive_gateway"]
    command += ["run", "--host", LOOPBACK, "--port", str(port)]
    program = Program(stage, "naive gateway")
    with program.serving(command, port, INVENTORY_URL=stage.upstream) as address:
        yield address


@contextmanager
def plain_flask(stage: Stage) -> Iterator[str]:
    """Run Flask on granian, without an upstream; lends its address."""
    port, variables = ports.free_port(), stage.stack.variables
    sizes = [variables["GATEWAY_WORKERS"], variables["GATEWAY_THREADS"]]
    command = [sys.executable, "-m", "tools.bench.baselines.plain", LOOPBACK, str(port), *sizes]
    with Program(stage, "Flask on granian").serving(command, port) as address:
        yield address
