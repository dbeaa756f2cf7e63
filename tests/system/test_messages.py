"""docs/messages.md is what is on the wire: every event, queue, exchange and binding, no other."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest

from tests.support import messages
from tests.support.messages import (
    EVENTS,
    EVENTS_OF_OTHERS,
    PROPERTIES,
    Event,
    Fields,
    Kind,
    names,
    rows,
    section,
)
from tests.support.readiness import ready
from tests.support.stack.telling import NO_BILL, NO_BILL_ID, Telling
from tests.support.stack.wire import Taken, Wire
from tools.stack.errors import StackError
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

DOCUMENTED = {(e.exchange, e.type, source) for e in EVENTS.values() for source in e.sources}
PUT_ASIDE = messages.fields(section("Dead letters"), "property")


@pytest.fixture(scope="module")
def told(stack: Stack) -> Iterator[Telling]:
    """The walk, walked; all that it led to has come off the wire."""
    wire = Wire(stack.rabbitmq)
    telling = Telling(stack, wire)
    telling.prepare()
    try:
        for exchange in {event.exchange for event in EVENTS.values()} - {"events"}:
            wire.bind(exchange)
        # other tests post other events
        wire.bind("events", EVENTS_OF_OTHERS)
        telling.tell()
        # what does not come, a test names
        with suppress(StackError):
            wait_until(lambda: set(map(_kind, wire.take())) >= DOCUMENTED, 30, "all events")
        yield telling
    finally:
        wire.remove()
        telling.clear()
    wait_until(lambda: ready(stack), 60, "the stack to be whole again")


@pytest.fixture
def wire(told: Telling) -> list[Taken]:
    """The events that came off the wire."""
    return told.wire.messages


def _kind(taken: Taken) -> tuple[str, str, str]:
    return (taken.exchange, taken.body["type"], taken.body["source"])


def test_the_events_on_the_wire_are_the_documented_ones(wire: list[Taken]) -> None:
    assert set(map(_kind, wire)) == DOCUMENTED


def test_every_event_has_the_fields_that_are_documented(wire: list[Taken]) -> None:
    for taken in wire:
        assert messages.faults(taken.body, EVENTS[taken.body["type"]].fields) == []


def test_every_event_has_the_properties_that_are_documented(wire: list[Taken]) -> None:
    for taken in wire:
        assert messages.faults(taken.properties, PROPERTIES) == []
        assert taken.routing_key == taken.body["type"]
        assert taken.properties["message_id"] == taken.body["id"]


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.type)
def test_the_example_of_an_event_came_off_the_wire(wire: list[Taken], event: Event) -> None:
    came = [messages.masked(t.body, event.fields) for t in wire if t.body["type"] == event.type]
    assert messages.masked(event.example, event.fields) in came


def test_the_example_of_a_whole_message_came_off_the_wire(wire: list[Taken]) -> None:
    example = messages.example(section("Every message"))
    fields = whole(EVENTS[example["body"]["type"]].fields)
    assert messages.masked(example, fields) in [messages.masked(vars(t), fields) for t in wire]


@pytest.mark.parametrize(
    ("publisher", "title"), [("gateway", "A client's bill"), ("orders", "An order's bill")]
)
def test_the_example_of_a_bill_came_off_the_wire(told: Telling, publisher: str, title: str) -> None:
    text, bill = section("`billing_queue` and `order_bills`"), vars(told.bills[publisher])
    fields = whole(messages.fields(text))
    assert messages.faults(bill, fields) == []
    assert messages.masked(bill, fields) == messages.masked(messages.example(text, title), fields)


def test_the_example_of_a_dead_letter_came_off_the_wire(told: Telling) -> None:
    letter = told.dead_letters["billing_queue.dlq"]
    fields = whole(PUT_ASIDE, "properties")
    example = messages.example(section("Dead letters"), "Refused by a consumer")
    assert messages.masked(vars(letter), fields) == messages.masked(example, fields)
    assert (letter.body, letter.properties["message_id"]) == (NO_BILL.decode(), NO_BILL_ID)


def test_the_example_of_a_mail_that_cannot_be_sent_came_off_the_wire(told: Telling) -> None:
    letter = told.dead_letters["mail_inbox.dlq"]
    fields = whole(EVENTS["order.created"].fields) | whole(PUT_ASIDE, "properties")
    example = messages.example(section("Dead letters"), "A mail that can't be sent")
    assert messages.faults(vars(letter), fields) == []
    assert messages.masked(vars(letter), fields) == messages.masked(example, fields)
    assert letter.properties["message_id"] == letter.body["id"]


def whole(own: Fields, where: str = "body") -> Fields:
    """The fields of a message with all that is around its body, and with its own."""
    parts = {"exchange": "text", "routing_key": "text", "properties": "object", "body": "object"}
    kinds = {name: Kind(words) for name, words in parts.items()}
    return kinds | under("properties", PROPERTIES) | under(where, own)


def under(name: str, fields: Fields) -> Fields:
    """The same fields as parts of another one."""
    return {f"{name}.{path}": kind for path, kind in fields.items()}


def listed(stack: Stack, what: str) -> Any:
    """What the management API knows of the vhost, but for what tests have made."""
    found = stack.rabbitmq.ask(f"/api/{what}/{quote(stack.rabbitmq.vhost, safe='')}").json()
    return [one for one in found if not str(one.get("name", "")).startswith("tests-")]


def test_every_exchange_is_documented_and_no_other(stack: Stack) -> None:
    documented = {
        names(row[0])[0]: names(row[1])[0] for row in rows(section("Exchanges"), "exchange")
    }
    there = {one["name"]: one["type"] for one in listed(stack, "exchanges") if one["durable"]}
    own = {name: kind for name, kind in there.items() if name and not name.startswith("amq.")}
    assert own == documented


def test_every_queue_is_documented_and_no_other(stack: Stack) -> None:
    documented = {
        name
        for row in rows(section("Queues"), "queue")
        for name in (*names(row[0]), *names(row[3]))
    }
    assert {one["name"] for one in listed(stack, "queues") if one["durable"]} == documented


def test_every_binding_is_documented_and_no_other(stack: Stack) -> None:
    documented = {
        (exchange, queue, key)
        for row in rows(section("Queues"), "queue")
        for queue in names(row[0])
        for source in row[2].split(";")
        for exchange, *keys in [names(source) or [""]]
        for key in keys
    }
    there = {
        (one["source"], one["destination"], one["routing_key"])
        for one in listed(stack, "bindings")
        # the queue of the gateway's cache is transient, and the broker names it
        if one["source"] and not one["destination"].startswith(("tests-", "amq.gen-"))
    }
    assert there == documented
