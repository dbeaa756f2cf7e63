"""What has served its time is deleted, all of it, and what is still needed is not."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

import billing.bills
import billing.settings
import gateway.client_events
import gateway.settings
import inventory.relay
import inventory.settings
import inventory.stock
import orders.mail.table
import orders.settings
from chassis.outbox import table as outbox
from chassis.settings import DatabaseSettings, RetentionSettings
from chassis.storage import idempotency_keys, inbox, retention
from chassis.storage.database import Database
from chassis.storage.retention import BATCH_ROWS, Expiry, Retention
from inventory.settings import Settings
from tests.support.at_work import at_work
from tools.stack.waiting import wait_until

SECONDS = 60
OLD = 10 * BATCH_ROWS + 1
BY_DEFAULT = RetentionSettings()
OUTBOX = (
    "INSERT INTO outbox (message_id, exchange, routing_key, content_type, mandatory, headers, body,"
    " created_at, sent_at) SELECT {name} || n, '', '', '', false, '{{}}', '',"
    " now() - {age}, {sent} FROM generate_series(1, {rows}) n"
)
SENT = "now() - {age} + n * interval '1 microsecond'"


@dataclass(frozen=True)
class Case:
    """A kind of rows that expire.

    Attributes:
        service: whose database it is.
        expiry: which of them do.
        insert: how `rows` of them that are `age` old come into the table.
        old: an age at which they go.
        kept: statements that make one row each which stays.
    """

    service: str
    expiry: Expiry
    insert: str
    old: str
    kept: tuple[str, ...]

    def filled(self, age: str, rows: int, **parts: str) -> str:
        """The statement that inserts rows."""
        aged = {name: part.replace("{age}", f"interval '{age}'") for name, part in parts.items()}
        return self.insert.format(age=f"interval '{age}'", rows=rows, **aged)


INBOX = (
    "INSERT INTO inbox SELECT md5(n::text), now() - {age}, {name} FROM generate_series(1, {rows}) n"
)
KEYS = (
    "INSERT INTO idempotency_keys (caller, route, key, body_hash, claim, claimed_at) SELECT"
    " 'c', 'r', {name} || n, '', gen_random_uuid(), now() - {age} FROM generate_series(1, {rows}) n"
)
EVENTS = (
    "INSERT INTO events (uid, solution, model, action, data, event_timestamp, delivered_at) SELECT"
    " gen_random_uuid(), 's', 'm', 'a', '{{}}', now() - {age}, {sent}"
    " FROM generate_series(1, {rows}) n"
)
MAILS = (
    "INSERT INTO mails (order_uid, step, order_id, customer_id, data, headers, recorded_at, state)"
    " SELECT {uid}, 'created', 'o', 'c', '', '{{}}', now() - {age}, '{state}'"
    " FROM generate_series(1, {rows}) n"
)
RESERVATIONS = (
    "WITH made AS (INSERT INTO reservations (uid, order_id, state, updated_at)"
    " SELECT gen_random_uuid(), 'o', '{state}', now() - {age} FROM generate_series(1, {rows}) n"
    " RETURNING uid) INSERT INTO reservation_lines SELECT uid, 1, 1 FROM made"
)
VOIDED = (
    "INSERT INTO voided_bills SELECT {name} || n, now() - {age} FROM generate_series(1, {rows}) n"
)


def case(
    service: str, expiry: Expiry, template: str, ages: tuple[str, str], *kept: Any, **parts: str
) -> Case:
    """A case of which one row of the age `ages[1]` stays, and one each with other `parts`."""
    old, young = ages
    name = {"name": "'old'", **parts}

    def one(age: str, **other: str) -> str:
        return Case(service, expiry, template, age, ()).filled(age, 1, **{**name, **other})

    stays = (
        one(young, name="'young'"),
        *(one(old, **{"name": "'kept'", **other}) for other in kept),
    )
    filled = Case(service, expiry, template, old, ()).filled(old, OLD, **name)
    return Case(service, expiry, filled, old, stays)


def settled(**kept: int) -> tuple[Expiry, Expiry]:
    """The two ages at which reservations go."""
    first, second = inventory.stock.expiries(inventory.settings.Retention(**kept))
    return first, second


ORDER = "(SELECT uid FROM orders)"
ANYBODY = "gen_random_uuid()"
CASES = {
    "outbox": case(
        *("gateway", outbox.expiry(BY_DEFAULT), OUTBOX, ("25 h", "23 h"), {"sent": "NULL"}),
        sent=SENT,
    ),
    "inbox": case("orders", inbox.expiry(BY_DEFAULT), INBOX, ("31 days", "29 days")),
    **{
        f"keys of {service}": case(service, idempotency_keys.EXPIRY, KEYS, ("25 h", "23 h"))
        for service in ("gateway", "inventory", "customers", "orders")
    },
    "events": case(
        "gateway",
        gateway.client_events.expiry(gateway.settings.Retention()),
        *(EVENTS, ("31 days", "29 days"), {"sent": "NULL"}),
        sent="now()",
    ),
    "mails": case(
        "orders",
        orders.mail.table.expiry(orders.settings.Retention()),
        *(MAILS, ("91 days", "89 days"), {"state": "unaddressed"}, {"uid": ORDER}),
        state="unknown",
        uid=ANYBODY,
    ),
    "reservations": case(
        *("inventory", settled()[0], RESERVATIONS, ("91 days", "89 days"), {"state": "reserved"}),
        {"state": "cancelled"},
        state="completed",
    ),
    "cancellations": case(
        *("inventory", settled()[1], RESERVATIONS, ("366 days", "364 days"), {"state": "reserved"}),
        state="cancelled",
    ),
    "voided bills": case(
        "billing",
        billing.bills.expiry(billing.settings.Retention()),
        *(VOIDED, ("366 days", "364 days")),
    ),
}


@pytest.fixture
def database(
    request: pytest.FixtureRequest,
    gateway_db: Database,
    movies_db: Database,
    billing_db: Database,
    customers_db: Database,
    orders_db: Database,
) -> Callable[[str], Database]:
    """A service's database, empty but for one order that has not ended."""
    order = "INSERT INTO orders (order_id, customer_id, total_amount) VALUES ('open', 'c', 1)"
    with orders_db.autocommit() as connection:
        connection.execute(text("TRUNCATE mails"))
        connection.execute(text(order))
    found = {
        "gateway": gateway_db,
        "inventory": movies_db,
        "billing": billing_db,
        "customers": customers_db,
        "orders": orders_db,
    }
    return found.__getitem__


def execute(database: Database, *statements: str) -> None:
    """Execute statements, each in a transaction."""
    with database.autocommit() as connection:
        for statement in statements:
            connection.execute(text(statement))


def count(database: Database, table: str) -> int:
    """How many rows a table has."""
    with database.autocommit() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


@pytest.mark.parametrize("kind", CASES)
def test_ten_times_the_former_purge_is_deleted_and_needed_rows_stay(
    kind: str, database: Callable[[str], Database]
) -> None:
    case = CASES[kind]
    own = database(case.service)
    execute(own, *case.kept, case.insert)
    assert count(own, case.expiry.table) == OLD + len(case.kept)
    assert retention.purge_all(own, case.expiry) == OLD
    assert count(own, case.expiry.table) == len(case.kept)
    if case.expiry.table == "reservations":
        assert count(own, "reservation_lines") == len(case.kept)


@pytest.mark.parametrize("kind", CASES)
def test_an_index_leads_to_what_is_deleted(kind: str, database: Callable[[str], Database]) -> None:
    case = CASES[kind]
    own = database(case.service)
    statement = f"EXPLAIN (FORMAT JSON) {retention._statement(case.expiry)}"
    parameters = {"start": "-infinity", "end": "2020-01-01", "rows": BATCH_ROWS}
    with own.transaction() as connection:
        for setting in retention._SESSION:
            connection.execute(text(setting))
        plan = json.dumps(connection.execute(text(statement), parameters).scalar_one())
    index = f'"Relation Name": "{case.expiry.table}"'
    assert index in plan and "Index Scan" in plan
    assert '"Seq Scan"' not in plan and '"Sort"' not in plan


def test_only_the_newest_sent_messages_stay(
    database: Callable[[str], Database],
) -> None:
    own = database("gateway")
    sent = SENT.format(age="interval '1 h'")
    young = OUTBOX.format(name="'m'", age="interval '1 h'", rows=5000, sent=sent)
    unsent = OUTBOX.format(name="'u'", age="interval '1 h'", rows=10, sent="NULL")
    execute(own, young, unsent)
    few = RetentionSettings(outbox_kept_rows=2000)
    # the boundary itself stays
    assert retention.purge_all(own, outbox.expiry(few)) == 2999
    assert retention.purge_all(own, outbox.expiry(few)) == 0
    assert count(own, "outbox WHERE sent_at IS NULL") == 10
    with own.autocommit() as connection:
        oldest = "SELECT min(substr(message_id, 2)::int) FROM outbox WHERE sent_at IS NOT NULL"
        assert connection.execute(text(oldest)).scalar_one() == 3000


def test_only_the_newest_delivered_events_stay(
    database: Callable[[str], Database],
) -> None:
    own = database("gateway")
    one = "now() - interval '1 h' + n * interval '1 microsecond'"
    young = EVENTS.replace("now() - {age}", one)
    execute(own, young.format(sent="now()", rows=5000), young.format(sent="NULL", rows=10))
    few = gateway.settings.Retention(events_kept_rows=2000)
    assert retention.purge_all(own, gateway.client_events.expiry(few)) == 2999
    assert retention.purge_all(own, gateway.client_events.expiry(few)) == 0
    assert count(own, "events WHERE delivered_at IS NULL") == 10
    assert count(own, "events") == 2011


@pytest.mark.parametrize("kind", ["outbox", "events"])
def test_an_index_alone_tells_which_row_is_the_last_to_be_kept(
    kind: str, database: Callable[[str], Database]
) -> None:
    case = CASES[kind]
    own = database(case.service)
    execute(own, case.insert, f"VACUUM ANALYZE {case.expiry.table}")
    assert case.expiry.newest is not None
    with own.transaction() as connection:
        assert retention._end(connection, replace(case.expiry, newest=5000)) is not None
        for setting in retention._SESSION:
            connection.execute(text(setting))
        surplus = f"EXPLAIN (FORMAT JSON) {retention._surplus(case.expiry)}"
        plan = json.dumps(connection.execute(text(surplus), {"newest": 5000}).scalar_one())
    assert '"Index Only Scan"' in plan and '"Sort"' not in plan


class Failing:
    """Tasks that fail, one always for want of time, and one that notes its turns."""

    def __init__(self) -> None:
        self.turns: list[str] = []

    def too_long(self, database: Database) -> None:
        """Need more time than a statement has."""
        self.turns.append("too long")
        with database.transaction() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 50"))
            connection.execute(text("SELECT pg_sleep(60)"))

    def wrong(self, _database: Database) -> None:
        """Have a fault of our own."""
        self.turns.append("wrong")
        raise ValueError("a fault")

    def good(self, database: Database) -> None:
        """Do something after the others."""
        with database.autocommit() as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar_one() != "50ms"
        self.turns.append("good")


def test_each_task_has_its_turn_in_each_round_though_those_before_it_fail(
    database: Callable[[str], Database],
    database_settings: Callable[[str], DatabaseSettings],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(retention, "_ROUND_SECONDS", 0.01)
    own = database("billing")
    execute(own, CASES["voided bills"].insert)
    broken = replace(CASES["voided bills"].expiry, table="inbox", column="no_such_column")
    tasks = Failing()
    expiries = [broken, CASES["voided bills"].expiry]
    every = [tasks.too_long, tasks.wrong, tasks.good]

    def run(stop: threading.Event) -> None:
        Retention(database_settings("billing"), expiries, stop, every).run()

    with at_work(run):
        wait_until(lambda: count(own, "voided_bills") == 0, SECONDS, "the old notes to go")
        wait_until(lambda: len(tasks.turns) >= 6, SECONDS, "a second round")
    assert tasks.turns[:6] == ["too long", "wrong", "good"] * 2
    failed = [record for record in caplog.records if record.message == "retention task failed"]
    named = {vars(record)["task"]: vars(record)["reason"] for record in failed}
    assert list(named) == ["Failing.too_long", "Failing.wrong", "inbox"]
    assert "statement timeout" in named["Failing.too_long"] and "a fault" in named["Failing.wrong"]
    failures = {"task": "Failing.wrong"}
    assert (REGISTRY.get_sample_value("retention_failures_total", failures) or 0) >= 2


def test_a_locked_row_is_skipped_and_purged_the_next_time(
    database: Callable[[str], Database],
) -> None:
    own = database("billing")
    expiry = CASES["voided bills"].expiry
    execute(own, VOIDED.format(name="'n'", age="interval '366 days'", rows=3))
    with own.transaction() as holder:
        holder.execute(text("SELECT FROM voided_bills WHERE message_id = 'n2' FOR UPDATE"))
        assert retention.purge_all(own, expiry) == 2
    assert retention.purge_all(own, expiry) == 1


def test_two_that_purge_at_once_delete_each_row_once(
    database: Callable[[str], Database], database_settings: Callable[[str], DatabaseSettings]
) -> None:
    own = database("billing")
    before = purged("voided_bills")
    execute(own, CASES["voided bills"].insert)
    expiries = [CASES["voided bills"].expiry]
    runs = [
        lambda stop: Retention(database_settings("billing"), expiries, stop).run() for _ in range(2)
    ]
    with at_work(runs[0]), at_work(runs[1]):
        wait_until(lambda: count(own, "voided_bills") == 0, SECONDS, "the old notes to go")
    assert purged("voided_bills") - before == OLD


def purged(table: str) -> float:
    """How many rows of a table were purged."""
    return REGISTRY.get_sample_value("rows_purged_total", {"table": table}) or 0


def test_the_relay_process_purges_and_measures_the_tables_of_its_service(
    database: Callable[[str], Database], inventory_settings: Settings
) -> None:
    own = database("inventory")
    execute(own, CASES["inbox"].insert, CASES["reservations"].insert, *CASES["reservations"].kept)
    with at_work(partial(inventory.relay.run, inventory_settings)):
        wait_until(lambda: count(own, "inbox") == 0, SECONDS, "the old marks to go")
        wait_until(lambda: count(own, "reservations") == 3, SECONDS, "what has ended to go")
    for table in ("inbox", "movies", "outbox", "products", "reservations", "reservation_lines"):
        assert (REGISTRY.get_sample_value("table_bytes", {"table": table}) or 0) > 0
        assert REGISTRY.get_sample_value("table_rows", {"table": table}) is not None
