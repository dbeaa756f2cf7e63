"""Prints Patroni's configuration for this machine.

    python3 -m provisioning.patroni.configuration

from the directory above, by the system's Python, with PyYAML. In the environment are DATA, BINARIES
and NAME; ROLE, the name of the cluster; OWN, PEERS and ETCD, addresses, separated by spaces;
POSTGRESQL_PORT, PATRONI_PORT and ETCD_PORT; WATCHDOG, `automatic` or `off`; the passwords
DATABASE_ADMIN_PASSWORD and DATABASE_REPLICATION_PASSWORD.

Source: https://patroni.readthedocs.io/en/latest/yaml_configuration.html, of Patroni 3.0 to 4.0.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ADMIN, REPLICATION = "postgres", "replicator"
# a leader that has vanished is replaced after `ttl` seconds at most
SHARED = {
    "ttl": 20,
    "loop_wait": 5,
    "retry_timeout": 5,
    # a write counts once the other machine has it, too; without another machine, writes go on alone
    "synchronous_mode": True,
    "maximum_lag_on_failover": 1048576,
    "postgresql": {
        "use_pg_rewind": True,
        "use_slots": True,
        # a machine that was unavailable for a short time finds this on the other one; Patroni
        # reads this setting here alone
        "parameters": {"wal_keep_size": "256MB"},
    },
}
# what the distribution's own PostgreSQL gets on five machines
POSTGRESQL = Path(__file__).parents[1] / "postgresql" / "crud-master.conf"
_SETTING = re.compile(r"^(\w+) = '?([^'\n]*)'?$", re.MULTILINE)


def parameters() -> dict[str, str]:
    """Return PostgreSQL's settings; Patroni itself says where it listens."""
    found = dict(_SETTING.findall(POSTGRESQL.read_text(encoding="utf-8")))
    del found["listen_addresses"]
    return found | {"unix_socket_directories": "/var/run/postgresql"}


def configuration(given: Mapping[str, str]) -> dict[str, Any]:
    """Return the configuration. Raises KeyError naming the variable that is missing."""
    own, port, patroni = given["OWN"], given["POSTGRESQL_PORT"], given["PATRONI_PORT"]
    return {
        "scope": given["ROLE"],
        "name": given["NAME"],
        "restapi": {"listen": f"{own}:{patroni}", "connect_address": f"{own}:{patroni}"},
        "etcd3": {
            "hosts": [f"{address}:{given['ETCD_PORT']}" for address in given["ETCD"].split()]
        },
        "bootstrap": {
            "dcs": SHARED,
            "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
        },
        "postgresql": {
            "listen": f"127.0.0.1,{own}:{port}",
            "connect_address": f"{own}:{port}",
            "data_dir": given["DATA"],
            "bin_dir": given["BINARIES"],
            "pgpass": "/var/lib/postgresql/.pgpass-of-patroni",
            "authentication": {
                "superuser": {"username": ADMIN, "password": given["DATABASE_ADMIN_PASSWORD"]},
                "replication": {
                    "username": REPLICATION,
                    "password": given["DATABASE_REPLICATION_PASSWORD"],
                },
            },
            "parameters": parameters(),
            "pg_hba": access(own, given["PEERS"].split()),
            # a machine whose data have taken another way copies those of the leader
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
        },
        "watchdog": {"mode": given["WATCHDOG"]},
    }


def access(own: str, peers: list[str]) -> list[str]:
    """Return the lines of pg_hba.conf: this machine and the others of its role, nobody else."""
    machines = [f"{address}/32" for address in (own, *peers)]
    return [
        "local all postgres peer",
        "local all all scram-sha-256",
        "host all all 127.0.0.1/32 scram-sha-256",
        *(f"host all all {machine} scram-sha-256" for machine in machines),
        f"host replication {REPLICATION} 127.0.0.1/32 scram-sha-256",
        *(f"host replication {REPLICATION} {machine} scram-sha-256" for machine in machines),
    ]


if __name__ == "__main__":
    yaml.safe_dump(configuration(os.environ), sys.stdout, sort_keys=False)
