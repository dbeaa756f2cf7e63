"""Drills on a stack that runs: what they find, what they leave, and that they undo what they do."""

import json
import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tools.drills import catalogue, faults
from tools.drills.fault_context import FaultContext
from tools.drills.report.result import Result
from tools.drills.run import Runner
from tools.drills.targets.stack_platform import StackPlatform
from tools.drills.workload.load import Load
from tools.stack.servers.databases import connect
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

LOAD = Load(seconds=4, rate=5, seed=5)
QUIET = catalogue.Drill("quiet", "Nothing happens.", lambda context: context.hold())


@pytest.fixture
def platform(stack: Stack) -> StackPlatform:
    """The stack, whole."""
    platform = StackPlatform(stack)
    wait_until(platform.is_healthy, 60, "the stack to be whole", poll=0.5)
    return platform


def _run(drill: catalogue.Drill, platform: StackPlatform, place: Path) -> Result:
    return Runner(platform, LOAD, place, lambda _words: None).run(drill)


@pytest.mark.parametrize(
    "name",
    [
        "consumer-stopped",
        "databases-disconnected",
        "database-read-only",
        "broker-disconnected",
        "poison-flood",
        "poison-header",
        "pm2-frozen",
    ],
)
def test_a_drill_loses_nothing_and_leaves_nothing_behind(
    platform: StackPlatform, tmp_path: Path, name: str
) -> None:
    [drill] = catalogue.chosen([name])
    # how soon answers come is for a machine that has nothing else to do
    result = _run(replace(drill, unaffected=catalogue.NOTHING), platform, tmp_path)
    assert result.good, result
    assert result.accepted == result.once > 0
    assert result.band[1] > result.band[0] > 0
    assert any(sample.recorded for sample in result.samples)
    assert list(tmp_path.iterdir()) == []
    assert platform.is_healthy()
    # there is no depth while the broker is late to tell
    dead = ("billing_queue.dlq", "inventory_inbox.dlq")
    wait_until(lambda: not any(map(platform.depths().get, dead)), 30, "no dead letter")


def _forget_a_bill(context: FaultContext) -> None:
    """Delete a bill, as no service ever would."""
    context.hold()
    delete = "DELETE FROM orders WHERE user_id LIKE %s AND order_id IS NULL"
    with closing(connect(_stack(context), "billing")) as connection, connection:
        connection.cursor().execute(delete, (f"drill-{context.run}-%",))


def _write_twice(context: FaultContext) -> None:
    """Write a mail once more, under another number of its Maildir."""
    maildir = Path(_stack(context).variables["STATE_DIR"]) / "mail"

    def newest() -> list[Path]:
        own = context.platform.rows(
            "orders", f"SELECT uid::text FROM orders WHERE id IN ({orders})"
        )
        uids = {row["uid"] for row in own}
        return [mail for mail in (maildir / "new").iterdir() if mail.name[:36] in uids]

    marker = f"SELECT id FROM products WHERE name = 'drill-{context.run}-marker'"
    [row] = context.platform.rows("inventory", marker)
    orders = f"SELECT order_pk FROM order_lines WHERE product_id = {row['id']}"
    wait_until(lambda: bool(newest()), 30, "a mail")
    mail = newest()[0]
    shutil.copy(mail, maildir / "cur" / f"{mail.name}:2,S")


def _reject_an_order(context: FaultContext) -> None:
    """Have the history say that an order was rejected, of which there was enough."""
    context.hold()
    found = context.platform.rows(
        "inventory", f"SELECT id FROM products WHERE name = 'drill-{context.run}-plenty'"
    )
    reject = """
        UPDATE order_history SET to_status = 'cancelled', cause = 'stock.rejected'
        WHERE order_pk = (SELECT max(order_pk) FROM order_lines WHERE product_id = %s)
    """
    with closing(connect(_stack(context), "orders")) as connection, connection:
        connection.cursor().execute(reject, (found[0]["id"],))


def _stack(context: FaultContext) -> Stack:
    assert isinstance(context.platform, StackPlatform)
    return context.platform.stack


@pytest.mark.parametrize(
    ("fault", "verdict", "words"),
    [
        (_forget_a_bill, "lost", "is missing"),
        (_reject_an_order, "lost", "was rejected although the stock sufficed"),
        (_write_twice, "repeated", "2 mails"),
    ],
)
def test_losses_and_duplicates_are_found_and_artifacts_are_kept(
    platform: StackPlatform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: faults.Fault,
    verdict: str,
    words: str,
) -> None:
    # what is gone does not come back
    monkeypatch.setattr("tools.drills.checks.recovery.LIMIT_SECONDS", 5)
    result = _run(replace(QUIET, fault=fault), platform, tmp_path)
    assert not result.good
    [directory] = tmp_path.iterdir()
    assert result.left == str(directory)
    kept = json.loads((directory / "findings.json").read_text())
    assert kept[verdict] > 0
    assert any(words in finding["what"] for finding in kept["findings"])
    # the last messages may still be in flight, and would count as missing
    lost = {finding["of"] for finding in kept["findings"] if words in finding["what"]}
    answers = (directory / "answers.jsonl").read_text()
    if fault is _forget_a_bill:
        assert all(name in answers for name in lost)
    assert (
        "bill recorded"
        in (directory / "billing-consumer-out.log").read_text()
        + (directory / "billing-consumer-error.log").read_text()
    )


def test_an_interrupted_drill_undoes_what_it_did(platform: StackPlatform, tmp_path: Path) -> None:
    def interrupted(context: FaultContext) -> None:
        context.platform.stop_process("billing-consumer")
        context.platform.freeze_process("inventory-api")
        context.platform.act_on_server("kill", "postgresql-customers")
        context.platform.alarm_broker(True)
        context.platform.set_read_only("orders", True)
        context.platform.freeze_pm2()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(replace(QUIET, fault=interrupted), platform, tmp_path)
    assert platform.is_healthy()
    result = _run(QUIET, platform, tmp_path)
    assert result.good, result


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft"), reason="the network is disturbed by nft, as root"
)
@pytest.mark.parametrize("effect", ["cut", "delayed", "lossy"])
def test_a_disturbed_network_is_whole_again_afterwards(
    platform: StackPlatform, effect: str
) -> None:
    with platform.disturb(effect, "inventory-api"):
        if effect == "cut":
            wait_until(lambda: not platform.is_healthy(), 30, "inventory-api to be down")
    wait_until(platform.is_healthy, 30, "the network to be whole")
