"""`sudo crud-master …`: the commands of a machine that only root may run."""

from tests.deployment.platform import Platform


def test_a_database_on_one_machine_is_no_cluster(platform: Platform) -> None:
    refused = platform.vagrant.try_look("billing-vm", "sudo crud-master database switchover")
    assert refused.returncode == 1
    assert "is not a cluster" in refused.stdout + refused.stderr


def test_only_root_may_run_them(platform: Platform) -> None:
    for command in ("backup", "restore x", "database status"):
        refused = platform.vagrant.try_look("billing-vm", f"crud-master {command}")
        assert refused.returncode == 1
        assert "sudo crud-master" in refused.stdout + refused.stderr
