"""The configuration of Patroni."""

import pytest

from provisioning.patroni.configuration import access, configuration

GIVEN = {
    "NAME": "inventory2-vm",
    "ROLE": "inventory",
    "OWN": "10.0.0.2",
    "PEERS": "10.0.0.1",
    "ETCD": "10.0.0.3 10.0.0.4 10.0.0.5",
    "DATA": "/var/lib/postgresql/15/main",
    "BINARIES": "/usr/lib/postgresql/15/bin",
    "POSTGRESQL_PORT": "5432",
    "PATRONI_PORT": "8008",
    "ETCD_PORT": "2379",
    "WATCHDOG": "off",
    "DATABASE_ADMIN_PASSWORD": "admin's",
    "DATABASE_REPLICATION_PASSWORD": "copies",
}


def test_it_is_one_member_of_the_roles_cluster() -> None:
    found = configuration(GIVEN)
    assert (found["scope"], found["name"]) == ("inventory", "inventory2-vm")
    assert found["etcd3"]["hosts"] == ["10.0.0.3:2379", "10.0.0.4:2379", "10.0.0.5:2379"]
    assert found["postgresql"]["listen"] == "127.0.0.1,10.0.0.2:5432"
    assert found["restapi"]["listen"] == "10.0.0.2:8008"


def test_postgresql_has_the_settings_that_it_has_without_patroni() -> None:
    assert configuration(GIVEN)["postgresql"]["parameters"] == {
        "password_encryption": "scram-sha-256",
        "shared_buffers": "64MB",
        "max_wal_size": "256MB",
        "jit": "off",
        "unix_socket_directories": "/var/run/postgresql",
    }


def test_a_write_counts_once_both_machines_have_it() -> None:
    assert configuration(GIVEN)["bootstrap"]["dcs"]["synchronous_mode"] is True


def test_what_patroni_takes_from_the_cluster_alone_is_given_there() -> None:
    # ConfigHandler.CMDLINE_OPTIONS of Patroni 3.0 to 4.0
    of_cluster = {
        *("max_connections", "max_locks_per_transaction", "max_worker_processes", "wal_level"),
        *("max_prepared_transactions", "track_commit_timestamp", "hot_standby", "wal_log_hints"),
        *("max_wal_senders", "max_replication_slots", "wal_keep_segments", "wal_keep_size"),
        *("listen_addresses", "port", "cluster_name"),
    }
    found = configuration(GIVEN)
    assert not of_cluster & set(found["postgresql"]["parameters"])
    assert found["bootstrap"]["dcs"]["postgresql"]["parameters"] == {"wal_keep_size": "256MB"}


def test_only_the_machines_of_the_role_may_log_in_and_nobody_without_a_password() -> None:
    lines = [line.split() for line in access("10.0.0.2", ["10.0.0.1"])]
    allowed = {line[3] for line in lines if line[0] == "host"}
    assert allowed == {"127.0.0.1/32", "10.0.0.1/32", "10.0.0.2/32"}
    assert [line for line in lines if line[-1] != "scram-sha-256"] == [
        ["local", "all", "postgres", "peer"]
    ]


@pytest.mark.parametrize("name", ["DATABASE_ADMIN_PASSWORD", "OWN"])
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        configuration({key: value for key, value in GIVEN.items() if key != name})
