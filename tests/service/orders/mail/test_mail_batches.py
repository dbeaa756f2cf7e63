"""A batch of events causes the mails that the same events cause one by one."""

from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from chassis.storage.database import Database
from orders.mail.worker import MailHandler
from tests.support.examples import examples
from tests.support.mailing import order_data, received

STEPS = ("created", "completed", "cancelled")
ORDERS, CUSTOMERS = 3, ("1", "2", "3")
EVENTS = st.lists(
    st.tuples(
        st.integers(0, ORDERS - 1),
        st.sampled_from(STEPS),
        st.sampled_from(CUSTOMERS),
        st.sampled_from(["ben@kawa.fr", None]),
        st.booleans(),
    ),
    max_size=10,
)
FOUND = st.lists(
    st.tuples(
        st.integers(0, ORDERS - 1),
        st.sampled_from(STEPS),
        st.sampled_from(["sent", "refused", "waiting", "claimed"]),
    ),
    max_size=4,
    unique_by=lambda row: row[:2],
)
ROWS = (
    "SELECT step, order_id, customer_id, state, recipient, in_turn, attempts, dead_letter, "
    "claim IS NULL AS free, next_attempt_at > now() AS later, data::text AS data FROM mails "
    "WHERE order_uid = :uid ORDER BY step"
)


def made(database: Database, uid: UUID) -> list[Any]:
    """The mails of an order."""
    with database.autocommit() as connection:
        found = connection.execute(text(ROWS), {"uid": uid}).mappings().all()
    return [
        {**row, "data": bytes.fromhex(row["data"][2:]).replace(str(uid).encode(), b"")}
        for row in found
    ]


def prepare(database: Database, uids: list[UUID], found: list[tuple[int, str, str]]) -> None:
    """Have mails of some orders in the table; customer 1 is known, and customer 2 is deleted."""
    insert = (
        "INSERT INTO mails (order_uid, step, order_id, customer_id, data, headers, state, "
        "recipient, dead_letter, claim) VALUES (:uid, :step, 'O', '1', '{}', '{}', :state, :to, "
        ":letter, :claim)"
    )
    customers = (
        "INSERT INTO customers (id, name, email, noted_at, forgotten) VALUES "
        "(1, 'Ben', 'known@kawa.fr', now(), false), (2, NULL, NULL, now(), true) "
        "ON CONFLICT DO NOTHING"
    )
    with database.transaction() as connection:
        connection.execute(text(customers))
        for number, step, state in found:
            is_open = state in ("waiting", "claimed")
            row = {
                "uid": uids[number],
                "step": step,
                "state": "waiting" if is_open else state,
                "to": "ben@kawa.fr" if is_open else None,
                "letter": f"letter-{step}" if state == "refused" else None,
                "claim": uuid4() if state == "claimed" else None,
            }
            connection.execute(text(insert), row)


@examples(60)
@given(FOUND, EVENTS)
def test_a_batch_causes_the_mails_of_its_events_one_by_one(
    orders_db: Database,
    found: list[tuple[int, str, str]],
    events: list[tuple[int, str, str, str | None, bool]],
) -> None:
    outcomes = []
    for is_batch in (True, False):
        uids = [uuid4() for _ in range(ORDERS)]
        prepare(orders_db, uids, found)
        handler = MailHandler(orders_db)
        read = []
        for number, step, customer, email, is_letter in events:
            data = order_data(uid=uids[number], customer_id=customer, email=email)
            one = received(handler, f"order.{step}", data)
            # the dead letters of both rounds have other ids in the inbox
            read.append((one, f"letter-{step}" if is_letter else one.id))
        with orders_db.autocommit() as connection:
            connection.execute(text("DELETE FROM inbox"))
        items = [type(one)(id, one.type, one.data, one.reaction, one.trace) for one, id in read]
        for batch in [items] if is_batch else [[item] for item in items]:
            handler.apply(batch)
        outcomes.append([made(orders_db, uid) for uid in uids])
    assert outcomes[0] == outcomes[1]
