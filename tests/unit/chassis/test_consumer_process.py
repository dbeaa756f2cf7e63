"""A consumer process consumes what topology.yml says, and its checks have the right names."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from chassis.consumer_process import ConsumerProcess
from chassis.errors import SettingsError
from chassis.http import worker_process
from chassis.http.health import Check
from chassis.messaging.consumer import Consumer
from chassis.messaging.event_handler import EventData, EventHandler, Reaction
from chassis.service_settings import ServiceSettings
from tests.support.databases import settings_of
from tests.support.servers import Logged
from tests.support.settings import NOWHERE, SERVER, port


@pytest.fixture
def process(request: pytest.FixtureRequest) -> ConsumerProcess:
    """A process of topology.yml that is not yet described."""
    broker = NOWHERE.for_queue("bills of ours")
    settings = ServiceSettings(SERVER, port(), port(), settings_of("billing", "1"), broker)
    return ConsumerProcess(request.param, settings, threading.Event())


def handler(process: ConsumerProcess, *types: str) -> EventHandler:
    """A handler that reacts to these types of events."""
    reaction = Reaction("order_events", EventData, lambda connection, data, event_id: None)
    return EventHandler(process.database(), "test", dict.fromkeys(types, reaction))


class Ran:
    """What a process ran, instead of which nothing is consumed and no port opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checks: list[str] = []
        self.loops: list[str] = []
        monkeypatch.setattr(worker_process, "serving_health", self._serve)
        monkeypatch.setattr(Consumer, "run", lambda consumer: self.loops.append(consumer.name))

    @contextmanager
    def _serve(self, _process: str, ready: Sequence[Check], *_where: object) -> Iterator[None]:
        self.checks = [check.name for check in ready]
        yield


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """What the process ran."""
    return Ran(monkeypatch)


@pytest.mark.parametrize("process", ["inventory-consumer"], indirect=True)
def test_the_consumer_of_one_queue_is_the_check_rabbitmq(
    process: ConsumerProcess, ran: Ran
) -> None:
    types = ("order.created", "order.cancelled", "order.completed")
    process.consume("inventory_inbox", handler(process, *types))
    process.run(port(), lambda: ran.loops.append("a loop"))
    assert ran.checks == ["billing_db", "rabbitmq"]
    assert sorted(ran.loops) == ["a loop", "rabbitmq"]


@pytest.mark.parametrize("process", ["billing-consumer"], indirect=True)
def test_consumers_of_several_queues_have_the_names_of_these(
    process: ConsumerProcess, ran: Ran
) -> None:
    process.consume("billing_queue", handler(process))
    process.consume("order_bills", handler(process))
    process.consume("billing_inbox", handler(process, "order.cancelled"))
    process.run(port())
    assert ran.checks == ["billing_db", "bills of ours", "order_bills", "billing_inbox"]
    assert sorted(ran.loops) == sorted(ran.checks[1:])


@pytest.mark.parametrize("process", ["billing-consumer"], indirect=True)
def test_a_process_that_leaves_a_queue_out_does_not_start(
    process: ConsumerProcess, ran: Ran
) -> None:
    process.consume("billing_inbox", handler(process, "order.cancelled"))
    with pytest.raises(SettingsError) as raised:
        process.run(port())
    said = "consumes: [billing_queue, order_bills, billing_inbox]"
    fault = f"billing-consumer has `{said}`, but its code consumes billing_inbox"
    assert str(raised.value) == f"topology.yml: {fault}"
    assert not ran.checks


@pytest.mark.parametrize("process", ["billing-consumer"], indirect=True)
def test_a_process_does_not_start_if_no_binding_brings_what_it_reacts_to(
    process: ConsumerProcess,
) -> None:
    made = handler(process, "order.cancelled", "order.deleted")
    missing = r"billing_inbox: no binding brings order\.deleted from order_events$"
    with pytest.raises(SettingsError, match=missing):
        process.consume("billing_inbox", made)


@pytest.mark.parametrize("process", ["inventory-consumer"], indirect=True)
def test_a_process_warns_of_bindings_that_bring_what_it_ignores(
    process: ConsumerProcess, logged: Logged
) -> None:
    process.consume("inventory_inbox", handler(process, "order.created"))
    [line] = logged()
    ignored = [f"{type} of order_events" for type in ("order.cancelled", "order.completed")]
    assert line["level"] == "warning"
    assert (line["queue"], line["bindings"]) == ("inventory_inbox", ignored)
