"""Consecutive events whose types share a function are handed over together."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection

from chassis.messaging import event_handler
from chassis.messaging.event_handler import BatchReaction, EventData, Reaction, ReceivedEvent
from chassis.trace import Trace


def test_a_run_of_events_goes_to_its_function_at_once_and_others_come_one_by_one() -> None:
    taken: list[Any] = []

    def together(_connection: Connection, events: Sequence[ReceivedEvent]) -> None:
        taken.append([event.id for event in events])

    one = Reaction("e", EventData, lambda _connection, _data, id: taken.append(id))
    kinds = {
        "a": BatchReaction("e", EventData, together),
        "b": BatchReaction("e", EventData, together),
        "c": one,
        "d": None,
    }
    current = cast(Trace, None)
    events = [
        ReceivedEvent(f"{number}{kind}", kind, EventData(), kinds[kind], current)
        for number, kind in enumerate("abcdcabd")
    ]
    for run in event_handler.runs(events):
        event_handler._react(cast(Connection, Silent()), run)
    assert taken == [["0a", "1b"], "2c", "4c", ["5a", "6b"]]


class Silent:
    """A connection on which log lines are collected, and nothing is executed."""

    def get_execution_options(self) -> dict[str, list[object]]:
        """A list for what follows the commit."""
        return {"after_commit": []}
