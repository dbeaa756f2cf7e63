"""Prints what provisioning needs to know of a role in topology.yml, as bash to be evaluated.

    python3 -m provisioning.role ROLE [MACHINE]

It runs in the directory above, with the system's Python and PyYAML. MACHINE is this machine, one
with that role; the default is the first one. It reads no values of variables; a variable of
topology.yml that is not set gets its default.
"""

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence

from chassis.topology import ETCD, PATRONI, RABBITMQ, REDIS, Machine, Role, Topology
from chassis.topology_file import TopologyError, read_topology

BROKER = ("USER", "PASSWORD", "VHOST", "QUEUE", "PORT")
PACKAGES = {
    RABBITMQ: ["rabbitmq-server"],
    REDIS: ["redis-server"],
    ETCD: ["etcd-server", "etcd-client"],
    PATRONI: ["patroni"],
}
KEEPALIVED = "keepalived"


class RoleError(Exception):
    """There is no such role or machine."""


def machine_of(topology: Topology, role: str, name: str | None) -> Machine:
    """Return a machine of a role, the first one if none is named. Raises RoleError."""
    machines = topology.machines_of(role)
    if not machines:
        known = ", ".join(known.name for known in topology.roles)
        raise RoleError(f"There is no role {role}; there are {known}.")
    if name is None:
        return machines[0]
    found = [machine for machine in machines if machine.name == name]
    if not found:
        known = ", ".join(machine.name for machine in machines)
        raise RoleError(f"No machine {name} has the role {role}; {known} have it.")
    return found[0]


def openings(topology: Topology, machine: Machine) -> Iterator[str]:
    """The openings of a machine's firewall, as calls of functions in steps/firewall.sh."""
    role, watchers = machine.role, _addresses(topology.watchers(), machine)
    if role.server and role.entrance:
        yield f"open_entrance {role.server.port_variable}"
        if watchers:
            yield " ".join(["open_port", role.server.port_variable, *watchers])
    elif role.server:
        callers = _addresses(topology.callers_of(role.name), machine)
        asking = dict.fromkeys([*callers, *watchers])
        yield " ".join(["open_port", role.server.port_variable, *asking])
    for worker in role.workers if watchers else ():
        yield " ".join(["open_workers", worker.port_variable, *watchers])
    if RABBITMQ in role.servers:
        everybody = (known.address.name for known in topology.machines)
        yield " ".join(["open_port", "RABBITMQ_PORT", *everybody])
    yield from _openings_of_clusters(topology, machine)
    for forward in machine.forwarded:
        yield f"open_forwarded_port {forward.guest}"


def _openings_of_clusters(topology: Topology, machine: Machine) -> Iterator[str]:
    """What machines that run the same server open to each other; the steps define the ports."""
    role, peers = machine.role, _addresses(topology.peers_of(machine), machine)
    nodes = _addresses(topology.machines_with(RABBITMQ), machine)
    if RABBITMQ in role.servers and nodes:
        for port in ("EPMD_PORT", "RABBITMQ_CLUSTER_PORT", "RABBITMQ_COMMAND_PORTS"):
            yield " ".join(["open_port", port, *nodes])
    if ETCD in role.servers:
        clients = _addresses(topology.machines_with(PATRONI), machine)
        members = _addresses(topology.machines_with(ETCD), machine)
        yield " ".join(["open_port", "ETCD_PORT", *dict.fromkeys([*clients, *members])])
        yield " ".join(["open_port", "ETCD_PEER_PORT", *members])
    if PATRONI in role.servers and peers:
        for port in ("POSTGRESQL_PORT", "PATRONI_PORT"):
            yield " ".join(["open_port", port, *peers])
    if role.shared_address and peers:
        yield " ".join(["open_vrrp", *peers])


def _required(role: Role) -> Iterator[str]:
    """The variables that the servers of a role can't do without."""
    yield from (secret.name for secret in role.secrets)
    if RABBITMQ in role.servers:
        yield from (f"RABBITMQ_{field}" for field in BROKER)


def variables(topology: Topology, role: Role) -> list[str]:
    """The variables that the services of a role can't do without."""
    names = [*_of_peers(topology, role), *(process.port_variable for process in role.processes)]
    if role.database:
        names += [f"{role.database_prefix}{field}" for field in ("NAME", "USER", "PASSWORD")]
    if role.server:
        names += [f"{role.name.upper()}_{field}" for field in ("WORKERS", "THREADS")]
    if role.processes:
        names += [f"RABBITMQ_{field}" for field in BROKER]
    return list(dict.fromkeys([*names, *role.settings]))


def _of_peers(topology: Topology, role: Role) -> Iterator[str]:
    """The addresses and ports of what a role calls and watches, and of RabbitMQ."""
    watched = [known.name for known in topology.roles] if role.watches else [role.name]
    machines = topology.machines_of(*role.calls, *watched)
    yield from (machine.address.name for machine in machines)
    yield from (machine.address.name for machine in topology.machines_with(RABBITMQ))
    servers = (topology.role(name).server for name in role.calls)
    yield from (server.port_variable for server in servers if server)
    if role.watches:
        yield from (process.port_variable for process in topology.processes)
        yield from (known.database.name for known in topology.roles if known.database)


def _addresses(machines: Iterable[Machine], but: Machine) -> list[str]:
    return [machine.address.name for machine in machines if machine.name != but.name]


def assignments(topology: Topology, machine: Machine) -> Iterator[str]:
    """The lines of bash."""
    role, opened = machine.role, list(openings(topology, machine))
    for name, default in topology.defaults().items():
        yield f"export {name}=${{{name}:-{shlex.quote(default)}}}"
    yield f"export MACHINE_NAME={machine.name}"
    yield f"own_address={machine.address.name}"
    yield _array("machine_variables", [known.address.name for known in topology.machines])
    yield _array("packages", ["postgresql"] if role.database else [], _packages(role))
    yield _array("databases", [role.database_prefix.removesuffix("_DB_")] if role.database else [])
    yield _array("role_servers", role.servers)
    yield _array("documents", role.documents)
    yield _array("servers", [role.server.name] if role.server else [])
    yield _array("server_ports", [role.server.port_variable] if role.server else [])
    yield _array("workers", [worker.name for worker in role.workers])
    yield _array("worker_ports", [worker.port_variable for worker in role.workers])
    yield _array("access", opened)
    yield _array("variables", variables(topology, role))
    yield _array("optional", role.optional)
    opening = (name for call in opened for name in call.split()[1:])
    yield _array("needed", dict.fromkeys([*opening, *_required(role)]))
    yield _array("hosts", map(_named, topology.machines))
    yield _array("peers", map(_named, topology.peers_of(machine)))
    yield _array("etcd_members", map(_named, topology.machines_with(ETCD)))
    yield _array("rabbitmq_nodes", map(_named, _in_order_of_start(topology, RABBITMQ)))
    yield f"shared_address={role.shared_address.name if role.shared_address else ''}"
    is_first = topology.machines_of(role.name)[0] == machine
    yield f"is_first={'yes' if is_first else ''}"


def _packages(role: Role) -> list[str]:
    shared = [KEEPALIVED] if role.shared_address else []
    return [*(package for server in role.servers for package in PACKAGES[server]), *shared]


def _in_order_of_start(topology: Topology, server: str) -> list[Machine]:
    """The machines that run a server, as `vagrant up` starts them."""
    roles = [role.name for role in reversed(topology.roles) if server in role.servers]
    return [machine for role in roles for machine in topology.machines_of(role)]


def _named(machine: Machine) -> str:
    """A machine's name, and the variable of its address."""
    return f"{machine.name}:{machine.address.name}"


def _array(name: str, *values: Iterable[str]) -> str:
    quoted = (shlex.quote(value) for each in values for value in each)
    return f"{name}=({' '.join(quoted)})"


def main(words: Sequence[str]) -> int:
    """Print the lines; return the exit status."""
    role, *names = words
    try:
        topology = read_topology()
        machine = machine_of(topology, role, names[0] if names else None)
    except (RoleError, TopologyError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.writelines(f"{line}\n" for line in assignments(topology, machine))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
