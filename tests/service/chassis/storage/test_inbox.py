"""The inbox: a message counts once for each consumer, whoever else of the database gets it."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from chassis import trace
from chassis.messaging.declarations import DIRECT
from chassis.messaging.event_handler import EventData, EventHandler, Reaction, ReceivedEvent
from chassis.settings import DatabaseSettings
from chassis.storage import inbox, migrations
from chassis.storage.database import Database


class Applied(list[str]):
    """What consumers did, in order."""

    def handler(self, database: Database, consumer: str) -> EventHandler:
        """A consumer that says so of each event that it applies."""

        def act(_connection: Connection, _data: EventData, event_id: str) -> None:
            self.append(f"{consumer} {event_id}")

        self._reaction = Reaction(DIRECT, EventData, act)
        return EventHandler(database, consumer, {"it.happened": self._reaction})

    def event(self, event_id: str) -> ReceivedEvent:
        """An event for the consumer that was made last."""
        current = trace.continued({})
        return ReceivedEvent(event_id, "it.happened", EventData(), self._reaction, current)


def test_two_consumers_of_one_database_each_apply_an_event_once(orders_db: Database) -> None:
    applied = Applied()
    for consumer in ("first", "second", "first", "second"):
        handler = applied.handler(orders_db, consumer)
        handler.apply([applied.event("a"), applied.event("a")])
    assert applied == ["first a", "second a"]


def test_a_message_is_new_to_each_consumer_until_it_is_marked(orders_db: Database) -> None:
    with orders_db.autocommit() as connection:
        assert inbox.mark_applied(connection, "one", ["a", "b"]) == {"a", "b"}
        assert inbox.mark_applied(connection, "two", ["b", "c"]) == {"b", "c"}
        assert inbox.mark_applied(connection, "one", ["a", "b", "c"]) == {"c"}


@pytest.mark.parametrize(
    ("service", "consumers"),
    [
        ("inventory", ["inventory-consumer"]),
        ("billing", ["billing-consumer"]),
        ("orders", ["orders-consumer", "mail-worker"]),
    ],
)
def test_messages_applied_before_consumers_had_names_are_not_applied_again(
    service: str, consumers: list[str], empty: DatabaseSettings
) -> None:
    migrations.upgrade(service, empty, f"{service}_0002")
    database = Database(empty, connections=1)
    ids = [str(uuid4()) for _ in range(3)]
    with database.autocommit() as connection:
        old: list[dict[str, Any]] = [{"id": id} for id in ids]
        connection.execute(text("INSERT INTO inbox VALUES (:id, now() - interval '1 day')"), old)
    migrations.upgrade(service, empty)
    with database.autocommit() as connection:
        for consumer in consumers:
            assert inbox.mark_applied(connection, consumer, [*ids, "new"]) == {"new"}
        days = connection.execute(
            text("SELECT count(*) FROM inbox WHERE applied_at < now() - interval '12 h'")
        )
        assert days.scalar_one() == len(ids) * len(consumers)
    database.close()


def test_a_process_of_the_previous_version_still_marks_applied_messages(
    movies_db: Database,
) -> None:
    """While a new version is deployed, an old consumer may run on the new table for a moment."""
    old = "INSERT INTO inbox (message_id) VALUES ('a') ON CONFLICT DO NOTHING"
    with movies_db.autocommit() as connection:
        connection.execute(text(old))
        assert inbox.mark_applied(connection, "inventory-consumer", ["a"]) == set()
