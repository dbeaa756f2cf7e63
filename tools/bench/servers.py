"""The baselines that serve HTTP, each run the way its kind usually is."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tools.bench.environment import Environment
from tools.bench.programs import Program
from tools.stack import ports
from tools.stack.layout import CHECKOUT, LOOPBACK


@contextmanager
def naive_gateway(environment: Environment, upstream: str | None = None) -> Iterator[str]:
    """Run the tutorial's gateway, before inventory-api or another upstream; yields its address."""
    variables = {"INVENTORY_URL": upstream or environment.upstream}
    with _development_server(environment, "naive_gateway", variables) as address:
        yield address


@contextmanager
def naive_chain(environment: Environment) -> Iterator[str]:
    """Run the tutorial's gateway before the tutorial's inventory; yields the gateway's address."""
    variables = {"DATABASE_URL": environment.database_url("inventory")}
    with (
        _development_server(environment, "naive_inventory", variables) as inventory,
        naive_gateway(environment, inventory) as address,
    ):
        yield address


@contextmanager
def _development_server(
    environment: Environment, module: str, variables: Mapping[str, str]
) -> Iterator[str]:
    port = ports.free_port()
    command = [sys.executable, "-m", "flask", "--app", f"tools.bench.baselines.{module}"]
    command += ["run", "--host", LOOPBACK, "--port", str(port)]
    program = Program(environment, module.replace("_", " "))
    with program.serving(command, port, **variables) as address:
        yield address


@contextmanager
def of_service(
    environment: Environment, service: str, name: str, variables: Mapping[str, str]
) -> Iterator[str]:
    """Run a second API process of a service, with variables of its own; yields its address."""
    port = ports.free_port()
    program = Program(environment, name)
    own = {
        f"{service.upper()}_API_PORT": str(port),
        f"{service.upper()}_BIND": LOOPBACK,
        "STATE_DIR": str(program.home / "state"),
        "CODE_DIR": str(CHECKOUT),
    }
    command = [sys.executable, "-m", service, "serve"]
    with program.serving(command, port, **own, **variables) as address:
        yield address


@contextmanager
def plain_flask(environment: Environment) -> Iterator[str]:
    """Run Flask on granian, without an upstream; yields its address."""
    port, variables = ports.free_port(), environment.stack.variables
    sizes = [variables["GATEWAY_WORKERS"], variables["GATEWAY_THREADS"]]
    command = [sys.executable, "-m", "tools.bench.baselines.plain", LOOPBACK, str(port), *sizes]
    with Program(environment, "Flask on granian").serving(command, port) as address:
        yield address
