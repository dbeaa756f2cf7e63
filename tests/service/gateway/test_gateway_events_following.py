"""Whoever follows the list of events gets each of them, however late it is committed."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from chassis.settings import DatabaseSettings
from chassis.storage import migrations
from chassis.storage.database import Database
from gateway import client_events
from tests.support.events_api import listed, posted

KIND = client_events.Kind("shop", "order", "create")


def uids(found: list[Any]) -> list[str]:
    """The uids of events."""
    return [event["event_uid"] for event in found]


def test_a_late_committed_event_is_listed_late(gateway: FlaskClient, gateway_db: Database) -> None:
    with gateway_db.transaction() as slow:
        late = str(client_events.store(slow, KIND, b"{}").uid)
        early = posted(gateway)
        first = listed(gateway)
        assert uids(first) == [early]
    assert uids(listed(gateway, after=first[-1]["id"])) == [late]
    assert uids(listed(gateway)) == [early, late]


def test_positions_follow_the_ids_though_the_table_has_another_order(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    first = posted(gateway)
    with gateway_db.transaction() as connection:
        # for a table of one row, the planner joins by a nested loop over the table
        connection.execute(text("ANALYZE events"))
    in_order = [first, posted(gateway), posted(gateway)]
    with gateway_db.transaction() as connection:
        # writes the row anew, behind the others
        move = "UPDATE events SET attempts = attempts WHERE uid = :uid"
        connection.execute(text(move), {"uid": first})
    assert uids(listed(gateway)) == in_order


def test_a_follower_continues_after_a_deleted_event(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    posted(gateway)
    [last] = listed(gateway)
    with gateway_db.transaction() as connection:
        connection.execute(text("DELETE FROM events"))
    assert listed(gateway, after=last["id"]) == []
    later = [posted(gateway), posted(gateway)]
    assert uids(listed(gateway, after=last["id"])) == later
    answer = gateway.get("/api/events", query_string={"after": last["id"] + 1000})
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == "after"


def test_a_transaction_that_lasts_holds_up_no_list(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    with gateway_db.transaction() as lasting:
        lasting.execute(
            text(
                "INSERT INTO tokens (name, hash, scopes) VALUES "
                "('t', decode(repeat('00', 32), 'hex'), ARRAY['*'])"
            )
        )
        uid = posted(gateway)
        assert uids(listed(gateway)) == [uid]


def test_a_follower_gets_each_event_of_many_concurrent_writers_once(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    written: list[str] = []
    done = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(20):
            with gateway_db.transaction() as connection:
                uid = str(client_events.store(connection, KIND, b"{}").uid)
                connection.execute(text("SELECT pg_sleep(:s)"), {"s": chance.random() / 20})
            written.append(uid)

    def follow() -> list[str]:
        seen: list[str] = []
        place: dict[str, object] = {}
        while True:
            last = done.is_set()
            found = listed(gateway.application.test_client(), **place)
            seen += uids(found)
            if found:
                place = {"after": found[-1]["id"]}
            elif last:
                return seen

    with ThreadPoolExecutor(4) as pool:
        followers = [pool.submit(follow)]
        writers = [pool.submit(write, seed) for seed in range(3)]
        for writer in writers:
            writer.result(60)
        done.set()
        seen = followers[0].result(60)
    assert len(seen) == len(set(seen)) == 60
    assert set(seen) == set(written)
    assert uids(listed(gateway)) == seen


def test_delivery_also_assigns_a_position(gateway: FlaskClient, gateway_db: Database) -> None:
    ids = [posted(gateway) for _ in range(3)]
    with gateway_db.autocommit() as connection:
        connection.execute(
            text("UPDATE outbox SET sent_at = now() WHERE message_id = :id"), {"id": ids[1]}
        )
        placed = connection.execute(
            text("SELECT uid::text FROM events ORDER BY position")
        ).scalars()
        assert list(placed) == ids


@pytest.mark.parametrize("most", [1, 2])
def test_more_than_one_statement_places_are_all_placed(
    gateway: FlaskClient, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    ids = [posted(gateway) for _ in range(5)]
    monkeypatch.setattr(client_events, "_POSITION_BATCH", most)
    assert uids(listed(gateway)) == ids


def test_events_from_before_keep_the_order_in_which_they_were_listed(
    empty: DatabaseSettings,
) -> None:
    migrations.upgrade("gateway", empty, "gateway_0003")
    database = Database(empty, connections=1)
    with database.autocommit() as connection:
        connection.execute(
            text(
                "INSERT INTO events (uid, solution, model, action, data, event_timestamp) "
                "SELECT gen_random_uuid(), 's', 'm', 'a', '{}', now() - n * interval '1 s' "
                "FROM generate_series(1, 5) n"
            )
        )
    migrations.upgrade("gateway", empty)
    client_events.assign_positions(database)
    with (
        database.transaction() as connection,
        client_events.find(
            connection, names={}, since=None, delivered=None, after=None, limit=9
        ) as found,
    ):
        assert [row["id"] for row in found] == [5, 4, 3, 2, 1]
    database.close()
