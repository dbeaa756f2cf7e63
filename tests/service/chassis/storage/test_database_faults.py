"""What a database refuses: one message's fault, or everybody's outage."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import BasicProperties
from sqlalchemy import text

from chassis.messaging.consumer import ALONE_ABOVE
from chassis.messaging.window import PREFETCH
from chassis.storage.database import Database, is_doubtful, is_outage
from inventory.app import create_app as create_inventory
from inventory.settings import Settings as InventorySettings
from tests.support import bill_consumer
from tests.support.answers import problem
from tests.support.bill_consumer import (
    DEAD,
    GOOD,
    QUEUE,
    SECONDS,
    post,
    rows,
    wait_for_rows,
    waiting,
)
from tools.stack.waiting import wait_until

channel, consume = bill_consumer.channel, bill_consumer.consume
Consume = Callable[[], threading.Event]
LONG = 4 * SECONDS  # for hundreds of messages that are tried one by one
BODY = b'{"user_id": "u", "number_of_items": 1, "total_amount": 1}'
_RAISE = (
    "CREATE FUNCTION refuse_bill() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF NEW.user_id LIKE '{users}' THEN RAISE EXCEPTION 'not this one'; END IF; "
    "RETURN NEW; END $$"
)


def execute(database: Database, statement: str) -> None:
    """Have a database do something."""
    with database.autocommit() as connection:
        connection.execute(text(statement))


@contextmanager
def refusing(database: Database, users: str) -> Iterator[None]:
    """A trigger raises for the bills of some users."""
    execute(database, _RAISE.format(users=users))
    execute(
        database,
        "CREATE TRIGGER refuse_bill BEFORE INSERT ON orders "
        "FOR EACH ROW EXECUTE FUNCTION refuse_bill()",
    )
    try:
        yield
    finally:
        execute(database, "DROP FUNCTION IF EXISTS refuse_bill CASCADE")


@pytest.mark.parametrize("message_id", [b"\xff\xfe", "with\0nul"], ids=["bytes", "nul"])
def test_a_bill_whose_id_is_not_text_is_a_dead_letter(
    message_id: str | bytes, channel: BlockingChannel, billing_db: Database, consume: Consume
) -> None:
    channel.basic_publish("", QUEUE, BODY, BasicProperties(message_id=message_id))
    post(channel, GOOD, "good")
    consume()
    wait_for_rows(billing_db, 1)
    wait_until(lambda: waiting(channel, DEAD) == 1, SECONDS, "a dead letter")


def test_a_message_refused_by_a_trigger_is_a_dead_letter_once_another_succeeds(
    channel: BlockingChannel, billing_db: Database, consume: Consume
) -> None:
    with refusing(billing_db, "bad"):
        post(channel, {**GOOD, "user_id": "bad"}, "first")
        consume()
        wait_until(lambda: bill_consumer.in_hand() == 1, SECONDS, "the bill to be in hand")
        for number in range(10):
            post(channel, GOOD, f"m{number}")
        wait_for_rows(billing_db, 10)
        wait_until(lambda: waiting(channel, DEAD) == 1, SECONDS, "a dead letter")
        post(channel, {**GOOD, "user_id": "bad"}, "last")
        post(channel, GOOD, "after")
        wait_for_rows(billing_db, 11)
        wait_until(lambda: waiting(channel, DEAD) == 2, SECONDS, "another dead letter")


def test_a_trigger_that_refuses_all_messages_is_waited_for(
    channel: BlockingChannel, billing_db: Database, consume: Consume
) -> None:
    with refusing(billing_db, "%"):
        for number in range(10):
            post(channel, GOOD, f"m{number}")
        consume()
        wait_until(lambda: bill_consumer.in_hand() == 10, SECONDS, "all to be in hand")
        assert waiting(channel, DEAD) == 0
    wait_for_rows(billing_db, 10)
    wait_until(lambda: bill_consumer.in_hand() == 0, SECONDS, "all to be acknowledged")
    assert waiting(channel, DEAD) == 0
    assert len(rows(billing_db)) == 10


def test_more_refused_messages_than_fit_in_the_window_delay_no_other(
    channel: BlockingChannel, billing_db: Database, consume: Consume
) -> None:
    many = PREFETCH + 50
    with refusing(billing_db, "bad"):
        for number in range(many):
            post(channel, {**GOOD, "user_id": "bad"}, f"bad{number}")
        post(channel, GOOD, "good")
        consume()
        wait_for_rows(billing_db, 1, LONG)
        wait_until(lambda: waiting(channel, DEAD) == many, LONG, "dead letters")


def test_behind_more_than_a_thousand_undecided_messages_a_good_one_is_found(
    channel: BlockingChannel, billing_db: Database, consume: Consume
) -> None:
    many = 1050
    with refusing(billing_db, "bad"):
        for number in range(many):
            post(channel, {**GOOD, "user_id": "bad"}, f"bad{number}")
        consume()
        wait_until(lambda: bill_consumer.in_hand() == many, LONG, "all to be in hand")
        assert waiting(channel, DEAD) == 0
        post(channel, GOOD, "good")
        wait_for_rows(billing_db, 1, LONG)
        # it decides those that failed before it
        wait_until(lambda: waiting(channel, DEAD) >= PREFETCH, LONG, "dead letters")
    wait_until(
        lambda: len(rows(billing_db)) + waiting(channel, DEAD) == many + 1,
        SECONDS,
        "none to be lost",
    )


def test_a_refused_message_with_many_deliveries_is_a_dead_letter_once_another_succeeds(
    channel: BlockingChannel, billing_db: Database, consume: Consume
) -> None:
    with refusing(billing_db, "bad"):
        post(channel, {**GOOD, "user_id": "bad"}, "bad")
        for _ in range(ALONE_ABOVE + 2):
            method, _properties, _body = channel.basic_get(QUEUE)
            assert method is not None
            channel.basic_reject(method.delivery_tag or 0, requeue=True)
        consume()
        wait_until(lambda: bill_consumer.in_hand() == 1, SECONDS, "the bill to be in hand")
        assert waiting(channel, DEAD) == 0
        post(channel, GOOD, "good")
        wait_until(lambda: waiting(channel, DEAD) == 1, SECONDS, "a dead letter")
        wait_for_rows(billing_db, 1)


@pytest.mark.parametrize(
    ("statement", "outage", "doubtful"),
    [
        ("SELECT 1 / 0", False, False),
        ("SELECT '\\xff'::bytea::text::int", False, False),
        ("SELECT * FROM no_such_table", True, False),
        ("SELECT no_such_column FROM orders", True, False),
        ("SET transaction_read_only = on; DELETE FROM orders", True, False),
        ("DO $$ BEGIN RAISE EXCEPTION 'no'; END $$", True, True),
        ("INSERT INTO orders (number_of_items) VALUES ('\\x00'::bytea)", True, True),
        ("SELECT pg_terminate_backend(pg_backend_pid())", True, False),
    ],
)
def test_errors_are_distinguished(
    statement: str, outage: bool, doubtful: bool, billing_db: Database
) -> None:
    with pytest.raises(Exception) as raised, billing_db.transaction() as connection:
        connection.execute(text(statement))
    assert is_outage(raised.value) is outage
    assert is_doubtful(raised.value) is doubtful


def test_a_read_only_database_is_a_503(
    inventory_settings: InventorySettings, movies_db: Database
) -> None:
    inventory = create_inventory(inventory_settings).test_client()
    execute(movies_db, "ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
    try:
        movies_db.close()
        answer = inventory.post("/api/movies", json={"title": "t"})
    finally:
        with movies_db.transaction() as connection:
            connection.execute(text("SET TRANSACTION READ WRITE"))
            connection.execute(text("ALTER ROLE CURRENT_USER RESET default_transaction_read_only"))
        movies_db.close()
    assert problem(answer, 503)["cause"] == "database_unavailable"
    assert answer.headers["Retry-After"] == "1"
