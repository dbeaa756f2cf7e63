"""Which services, processes and addresses there are, and where the checkout's own things lie."""

from pathlib import Path

from chassis.topology import Process, Topology
from chassis.topology_file import TopologyError, read_topology

__all__ = [
    "CHECKOUT",
    "INSTALLED",
    "LOOPBACK",
    "PROCESSES",
    "SERVICES",
    "SWAGGER_UI",
    "TOPOLOGY",
    "Process",
]


def _topology() -> Topology:
    try:
        return read_topology()
    except TopologyError as error:
        # every command needs it: there is nothing else to say
        raise SystemExit(str(error)) from None


CHECKOUT = Path(__file__).resolve().parents[2]
INSTALLED = CHECKOUT / ".stack"
SWAGGER_UI = INSTALLED / "swagger-ui" / "node_modules" / "swagger-ui-dist"
LOOPBACK = "127.0.0.1"
TOPOLOGY = _topology()
SERVICES = TOPOLOGY.services
PROCESSES = TOPOLOGY.processes
