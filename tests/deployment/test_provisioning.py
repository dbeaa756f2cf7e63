"""Provisioning again: nothing to do, a changed source file, a changed password."""

import json

import pytest

from tests.deployment.passwords import ENV
from tests.deployment.platform import Platform
from tests.deployment.vagrant import MACHINES, steps
from tools.stack.waiting import wait_until

pytestmark = pytest.mark.usefixtures("whole_again")

# a server or a worker of each machine
RENEWED = (
    ("gateway-vm", 8080),
    ("inventory-vm", 8080),
    ("billing-vm", 9102),
    ("customers-vm", 8080),
    ("customers-vm", 9103),
    ("orders-vm", 8080),
    ("orders-vm", 9120),
)
ANSWER = 'status="live"'


# the first, so that the next one sees that it has changed nothing
def test_a_broken_release_is_refused_and_the_old_one_keeps_running(platform: Platform) -> None:
    source = platform.vagrant.home / "inventory" / "app.py"
    text = source.read_text()
    try:
        source.write_text(text + "\nimport nothing_of_this_name\n")
        done = platform.vagrant.try_run("provision", "inventory-vm")
        assert done.returncode != 0
        assert 'The step "release" failed' in done.stdout
        assert "No module named 'nothing_of_this_name'" in done.stdout
        assert platform.answers()
    finally:
        source.write_text(text)


def test_a_second_provision_changes_nothing_but_starts_what_was_stopped_by_hand(
    platform: Platform,
) -> None:
    platform.look("billing-vm", "pm2 stop billing-consumer billing-api billing-relay")
    assert set(platform.states("billing-vm").values()) == {"stopped"}
    reported = steps(platform.vagrant.provision())
    assert {machine for machine, *_ in reported} == set(MACHINES)
    changed = {
        (machine, title): outcome
        for machine, title, outcome, _ in reported
        if (title, outcome) != ("smoke test", "ready") and outcome != "unchanged"
    }
    started = "started billing-api,billing-consumer,billing-relay"
    assert changed == {("billing-vm", "processes"): started}
    assert set(platform.states("billing-vm").values()) == {"online"}


def test_a_changed_source_file_is_deployed_without_an_error(platform: Platform) -> None:
    source = platform.vagrant.home / "chassis" / "http" / "health.py"
    text = source.read_text()
    assert ANSWER in text
    order = platform.place_order()
    platform.wait_for_mails(order, "created", "completed")
    try:
        source.write_text(text.replace(ANSWER, 'status="renewed"'))
        with platform.requests_running() as counts:
            wait_until(lambda: counts.total() > 20, 30, "some requests")
            # one machine after the other, as Vagrant does it
            output = platform.vagrant.run("provision")
        assert output.count("took over") == len(MACHINES)
        for machine, port in RENEWED:
            assert '"renewed"' in platform.look(machine, live(port))
    finally:
        # the next provisioning brings it to the machines
        source.write_text(text)
    answers = {name for name in counts if not name.endswith((" 200", " 201", " 202"))}
    assert not answers, counts
    platform.wait_until_all_are_recorded()
    # the Maildir belongs to no release
    assert platform.mails(order) == ["completed", "created"]


def live(port: int) -> str:
    """The command that prints what a process on the machine itself answers at /live."""
    return (
        "python3 -c 'import urllib.request as r; "
        f'print(r.urlopen("http://127.0.0.1:{port}/live").read().decode())\''
    )


def test_a_changed_password_takes_effect_and_a_renamed_user_of_rabbitmq_replaces_the_former_one(
    platform: Platform,
) -> None:
    vagrant = platform.vagrant
    password = f"{ENV['INVENTORY_DB_PASSWORD']} another one"
    vagrant.write_env(ENV | {"INVENTORY_DB_PASSWORD": password, "RABBITMQ_USER": "another_user"})
    output = vagrant.provision()
    platform.variables["RABBITMQ_USER"] = "another_user"
    assert "role and password set" in output
    assert users(platform) == {"another_user"}
    platform.wait_until_whole()
    platform.post_bills(5)
    platform.wait_until_all_are_recorded()


def users(platform: Platform) -> set[str]:
    """The users that RabbitMQ knows."""
    said = platform.look("billing-vm", "sudo rabbitmqctl -q list_users --formatter json")
    return {user["user"] for user in json.loads(said)}
