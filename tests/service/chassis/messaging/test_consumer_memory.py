"""How many octets of messages a consumer has in hand: bounded, whatever waits in its queue."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from billing.settings import Settings
from chassis.storage.database import Database
from tests.support import bill_consumer
from tests.support.bill_consumer import DEAD, GOOD, QUEUE, rows, wait_for_rows, waiting
from tests.support.process import Process, environment
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until

channel, missing_table = bill_consumer.channel, bill_consumer.missing_table
SECONDS = 120.0
MANY, SIZE = 80, 1_500_000
MOST_OCTETS = 64_000_000
# of a consumer without messages, and for what is read and written meanwhile
REST_MIB = 110


@contextmanager
def consumer(settings: Settings, home: Path) -> Iterator[Process]:
    """Run billing-consumer as a process of its own."""
    port = free_port()
    variables = environment("billing", settings, home, BILLING_CONSUMER_PORT=port)
    process = Process("billing", "consume", variables, home, port)
    process.start()
    try:
        yield process
    finally:
        process.end()


def post_large(channel: BlockingChannel, message_id: str, size: int = SIZE) -> None:
    """Publish a bill of so many octets: white space counts for nothing in JSON."""
    body = json.dumps(GOOD).encode().ljust(size)
    channel.basic_publish("", QUEUE, body, BasicProperties(message_id=message_id))


def octets_in_hand(process: Process) -> float:
    """How many octets of bills the process has in hand, by its metrics."""
    return metric(process, "message_octets_in_flight")


def metric(process: Process, name: str) -> float:
    """The value of a gauge of the queue; NaN while the process does not answer."""
    answer = process.request("GET", "/metrics")
    lines = answer.text.splitlines() if answer is not None else []
    start = f'{name}{{queue="{QUEUE}"}} '
    found = [float(line.removeprefix(start)) for line in lines if line.startswith(start)]
    return found[0] if found else float("nan")


def peak_mib(process: Process) -> float:
    """The most memory that the process has had resident, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


@pytest.fixture
def large_bills(channel: BlockingChannel) -> Iterator[None]:
    """120 MB of bills wait, nearly twice what a consumer may have in hand."""
    for number in range(MANY):
        post_large(channel, f"large {number}")
    yield
    channel.queue_purge(QUEUE)


def test_120_waiting_mb_take_only_a_consumers_share_of_memory_and_all_are_recorded(
    large_bills: None,
    channel: BlockingChannel,
    billing_db: Database,
    billing_settings: Settings,
    missing_table: Callable[[], None],
    tmp_path: Path,
) -> None:
    with consumer(billing_settings, tmp_path) as process:
        wait_until(lambda: octets_in_hand(process) > MOST_OCTETS / 2, SECONDS, "bills in hand")
        # what did not fit is in the queue again
        fits = MOST_OCTETS // SIZE
        wait_until(lambda: waiting(channel, QUEUE) >= MANY - fits, SECONDS, "the rest to wait")
        assert octets_in_hand(process) <= MOST_OCTETS
        missing_table()
        wait_for_rows(billing_db, MANY)
        wait_until(lambda: octets_in_hand(process) == 0, SECONDS, "all to be acknowledged")
        assert peak_mib(process) < REST_MIB + MOST_OCTETS / 2**20
    assert len({row.message_id for row in rows(billing_db)}) == len(rows(billing_db)) == MANY
    assert (waiting(channel, QUEUE), waiting(channel, DEAD)) == (0, 0)
