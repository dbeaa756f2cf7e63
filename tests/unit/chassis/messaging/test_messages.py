"""docs/messages.md agrees with itself, and names the events that the code does."""

import re

import pytest

from tests.support import messages
from tests.support.messages import EVENTS, EVENTS_OF_OTHERS, Event
from tools.stack.layout import CHECKOUT, SERVICES

TYPE = re.compile(r'"((?:customer|inventory|movie|product|stock|order|bill)\.[a-z]+)"')
LINKS = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")


def types_in_the_code() -> set[str]:
    """All that looks like the type of an event in the services' sources."""
    sources = (file for service in SERVICES for file in (CHECKOUT / service).rglob("*.py"))
    return {name for file in sources for name in TYPE.findall(file.read_text())}


def test_it_has_the_types_of_events_that_the_code_names() -> None:
    assert EVENTS.keys() - {EVENTS_OF_OTHERS} == types_in_the_code()


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.type)
def test_an_example_is_what_its_tables_say(event: Event) -> None:
    assert messages.faults(event.example, event.fields) == []
    assert event.example["type"] == event.type
    assert event.example["source"] in event.sources


def test_a_message_that_differs_from_the_tables_is_recognised() -> None:
    event = EVENTS["order.created"]
    lines = [{**event.example["data"]["lines"][0], "quantity": "2"}]
    data = {**event.example["data"], "lines": lines, "surplus": 1, "uid": "no UUID", "total": None}
    del data["status"]
    assert messages.faults(event.example | {"data": data}, event.fields) == [
        "data.surplus is not documented",
        "data.uid is 'no UUID', not UUID",
        "data.total is None, not amount",
        "data.lines[].quantity is '2', not whole number",
        "data.status is missing",
    ]


def test_its_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", messages.TEXT, re.MULTILINE)
    anchors = {heading.lower().replace("`", "").replace(" ", "-") for heading in headings}
    for path, anchor in LINKS.findall(messages.TEXT):
        if path:
            assert (CHECKOUT / "docs" / path).exists()
        else:
            assert anchor in anchors
