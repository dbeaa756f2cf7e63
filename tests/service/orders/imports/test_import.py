"""`python -m orders import`, against a real database."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import text

from chassis.storage import database as database_module
from chassis.storage.database import Database
from orders import settings as settings_module
from orders.imports.command import import_
from orders.imports.files import ImportedOrder
from orders.imports.loading import BATCH, load
from orders.settings import Settings
from tests.support.databases import altered
from tests.support.mailing import run_command
from tools.stack.layout import CHECKOUT

HEADER = "order_id,customer_id,total_amount,status"
SAMPLES = CHECKOUT / "sample-data"
Import = Callable[..., Result]


@pytest.fixture
def run(orders_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Write a file and import it."""
    monkeypatch.setattr(settings_module, "load", lambda: orders_settings)

    def run(content: str | bytes, name: str = "orders.csv", *options: str) -> Result:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return CliRunner().invoke(import_, [str(path), *options])

    return run


def rows(database: Database, table: str = "orders") -> list[Any]:
    """All of a table."""
    with database.autocommit() as connection:
        return list(connection.execute(text(f"SELECT * FROM {table} ORDER BY id")))


def test_a_csv_file_is_loaded_with_its_history_and_without_events(
    run: Import, orders_db: Database
) -> None:
    lines = [
        f"{HEADER},created_at",
        "A1,1,150.50,completed,2024-09-30T18:07:44+02:00",
        " A2 , CLIENT ,\u00a00, pending ,",
    ]
    done = run("\n".join(lines))
    assert done.exit_code == 0, done.output
    assert "orders loaded: 2; skipped, since they exist: 0" in done.output
    first, second = rows(orders_db)
    assert (first.order_id, first.customer_id, str(first.total_amount)) == ("A1", "1", "150.50")
    assert first.status == "completed"
    assert first.created_at.isoformat() == "2024-09-30T16:07:44+00:00"
    assert (second.status, second.updated_at) == ("pending", second.created_at)
    history = rows(orders_db, "order_history")
    assert [(change.from_status, change.to_status, change.cause) for change in history] == [
        (None, "completed", "import"),
        (None, "pending", "import"),
    ]
    assert rows(orders_db, "outbox") == []


def test_a_json_file_is_loaded(run: Import, orders_db: Database) -> None:
    orders = '[{"order_id": 7, "customer_id": "1", "total_amount": 0.10, "status": "cancelled"}]'
    done = run(orders, "orders.JSON")
    assert done.exit_code == 0, done.output
    [order] = rows(orders_db)
    assert (order.order_id, str(order.total_amount), order.status) == ("7", "0.10", "cancelled")


def test_an_imported_order_is_one_like_any_other(run: Import, orders: FlaskClient) -> None:
    run(f"{HEADER}\nA1,1,150.50,pending\n")
    order = orders.get("/api/orders/order/A1").get_json()
    assert order["total_amount"] == 150.50
    moved = orders.put(f"/api/orders/{order['id']}/status", json="processing")
    assert moved.status_code == 200
    causes = [
        change["cause"] for change in orders.get(f"/api/orders/{order['id']}/history").get_json()
    ]
    assert causes[0] == "import"
    assert len(causes) == 2


def test_a_second_import_skips_existing_orders_and_loads_the_rest(
    run: Import, orders_db: Database
) -> None:
    run(f"{HEADER}\nA1,1,1,pending\n")
    done = run(f"{HEADER}\nA1,1,2,completed\nA2,1,2,pending\n")
    assert "orders loaded: 1; skipped, since they exist: 1" in done.output
    assert [str(order.total_amount) for order in rows(orders_db)] == ["1.00", "2.00"]
    assert len(rows(orders_db, "order_history")) == 2


def test_a_dry_run_says_what_it_would_do_and_does_not_do_it(
    run: Import, orders_db: Database
) -> None:
    run(f"{HEADER}\nA1,1,1,pending\n")
    done = run(f"{HEADER}\nA1,1,2,pending\nA2,1,2,pending\n", "orders.csv", "--dry-run")
    assert done.exit_code == 0
    assert "orders would be loaded: 1; skipped, since they exist: 1" in done.output
    assert len(rows(orders_db)) == 1


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_each_bad_line_is_named_with_its_reason_and_nothing_is_loaded(
    options: tuple[str, ...], run: Import, orders_db: Database
) -> None:
    lines = [
        HEADER,
        "good,1,1,pending",
        ",1,1,pending",
        "A3,,1,pending",
        "A4,1,1.005,pending",
        "A5,1,-1,pending",
        "A6,1,1, lost ",
        "A7,1,1",
        '"A8\nA8",1,,pending',
        "",
        "good,2,2,pending",
        "A" * 51 + ",1,1,pending",
        "A14,1,1, ",
        "A15,1,1,pending,, more",
        'A16,1,"1,50",pending',
        "\x1b[2J\u202e" + "A" * 50 + ",1,1,pending",
        " , ,, ",
    ]
    done = run("\n".join(lines), "orders.csv", *options)
    assert done.exit_code == 1
    said = done.output.splitlines()
    expected = [
        ("line 3: order_id:", "is required"),
        ("line 4: customer_id:", "is required"),
        ("line 5: total_amount:", "at most two decimals"),
        ("line 6: total_amount:", "must be an amount from 0 to 9,999,999,999.99"),
        ("line 7: status:", "'pending', 'processing', 'completed' or 'cancelled' (it is 'lost')"),
        ("line 8:", "has no field for 'status'"),
        ("line 9: total_amount:", "is required"),
        ("line 12: order_id:", "'good' is in line 2, too"),
        ("line 13: order_id:", "at most 50"),
        ("line 14: status:", "is required"),
        ("line 15:", "has more fields than the header: '', 'more'"),
        ("line 16: total_amount:", "like 99.97 (it is '1,50')"),
        ("line 17: order_id:", r"at most 50 characters (it is '\x1b[2J\u202eA"),
    ]
    assert len(said) == len(expected) + 1
    for line, (place, reason) in zip(said, expected, strict=False):
        assert line.startswith(place), line
        assert reason in line
    assert said[-1].endswith("13 of its orders are wrong; none is loaded")
    assert rows(orders_db) == []


def test_an_items_place_in_a_json_file_is_its_number(run: Import, orders_db: Database) -> None:
    good = {"order_id": "A", "customer_id": "1", "total_amount": 1, "status": "pending"}
    bad = [
        good,
        7,
        {**good, "order_id": "B", "colour": "red"},
        {**good, "total_amount": True},
        good,
    ]
    done = run(json.dumps(bad), "orders.json")
    assert done.exit_code == 1
    assert done.output.splitlines()[:4] == [
        "item 2: must be a JSON object",
        "item 3: colour: is not known here (it is 'red')",
        "item 4: total_amount: must be an amount from 0 to 9,999,999,999.99, like 99.97",
        "item 5: order_id: 'A' is in item 1, too",
    ]
    assert rows(orders_db) == []


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_file_with_semicolons_and_decimal_commas_is_loaded(
    separator: str, run: Import, orders_db: Database
) -> None:
    lines = [
        ["order_id", " customer_id", '"total_amount"', "status ", "created_at"],
        ["A1", "1", "150,50", "completed", "2024-09-30T18:07:44+02:00"],
        ["A2", '"a, b; c"', "99.97", "pending", ""],
        ["A3", "1", "7", "pending", ""],
        ["A4", "1", "0,5", "pending", ""],
    ]
    done = run("\r\n".join(map(separator.join, lines)))
    assert done.exit_code == 0, done.output
    orders = rows(orders_db)
    assert [str(order.total_amount) for order in orders] == ["150.50", "99.97", "7.00", "0.50"]
    assert orders[1].customer_id == "a, b; c"


@pytest.mark.parametrize("amount", ["1,500", "1.234,50", "1,234.50", "1,5,0", ",5"])
def test_an_ambiguous_amount_is_not_guessed(amount: str, run: Import, orders_db: Database) -> None:
    done = run(f"order_id;customer_id;total_amount;status\nA1;1;{amount};pending\n")
    assert "line 2: total_amount: must be an amount" in done.output
    assert f"(it is {amount!r})" in done.output
    assert rows(orders_db) == []


@pytest.mark.parametrize(
    ("created_at", "advice"),
    [
        ("2024-09-30T18:07:44+0000", "must have its offset with a colon, like +02:00"),
        ("2024-09-30T23:59:60Z", "has a leap second"),
        ("10000-01-01T00:00:00Z", "must be in the years 0001 to 9999"),
        ("2024-09-30 18:07:44", "must have a T between date and time of day"),
        ("2024-09-30T18:07:44 02:00", "must have + or - before its offset, like +02:00"),
    ],
)
def test_the_error_of_a_time_names_what_is_missing_without_advice_for_queries(
    created_at: str, advice: str, run: Import
) -> None:
    done = run(f"{HEADER},created_at\nA1,1,1,pending,{created_at}\n")
    assert f"line 2: created_at: {advice}" in done.output
    assert f"(it is {created_at!r})" in done.output
    assert "%2B" not in done.output


def test_a_state_is_required_in_json_too(run: Import) -> None:
    done = run('[{"order_id": 1, "customer_id": 1, "total_amount": 1}]', "orders.json")
    assert "item 1: status: is required" in done.output


def test_a_json_file_may_begin_with_a_byte_order_mark(run: Import, orders_db: Database) -> None:
    order = '[{"order_id": 1, "customer_id": 1, "total_amount": 1, "status": "pending"}]'
    assert run(order.encode("utf-8-sig"), "orders.json").exit_code == 0
    assert len(rows(orders_db)) == 1


def test_ids_that_are_equal_in_nfc_are_the_same(run: Import) -> None:
    done = run(f"{HEADER}\nAme\u0301,1,1,pending\nAm\u00e9,1,1,pending\n")
    assert "line 3: order_id: 'Am\u00e9' is in line 2, too" in done.output


def test_every_bad_line_is_shown(run: Import) -> None:
    done = run(HEADER + "\n,1,1,pending" * 120)
    lines = done.output.splitlines()
    assert len(lines) == 121
    assert lines[119].startswith("line 121: ")
    assert "120 of its orders are wrong" in lines[120]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("orders.csv", "", "its first line must be the header"),
        ("orders.csv", "order_id;customer_id;status\n", "line 1: 'total_amount' is missing; the"),
        ("orders.csv", f"{HEADER},colour\n", "line 1: 'colour' is not known; the header must be"),
        ("orders.csv", f"{HEADER},status\n", "line 1: 'status' is there twice; the header must be"),
        ("orders.csv", "order_id|status\n", "'status' is missing; 'order_id|status' is not known"),
        ("orders.csv", f"{HEADER}\n".encode("utf-16"), "the file is encoded in UTF-16"),
        (
            "orders.csv",
            f'{HEADER}\n"A"1,1,1,pending\n',
            "something other than ',' follows",
        ),
        (
            "orders.csv",
            f'{HEADER}\n"A,1,1,pending\n',
            "is not CSV: a quoted field does not",
        ),
        ("orders.json", '[{"order_id": 1, "order_id": 2}]', "0.order_id: must be given once"),
        ("orders.csv", b"order_id\nA\nb\xff\n", "line 3: is not encoded in UTF-8"),
        ("orders.csv", f'{HEADER}\n"A"1,1,1,pending\n', "line 2: is not CSV"),
        ("orders.csv", f'{HEADER}\n"A,1,1,pending\n', "line 2: is not CSV"),
        ("orders.json", "", "the file is not JSON"),
        ("orders.json", "{}", "must be a JSON array"),
        ("orders.json", "[NaN]", "the file is not JSON"),
        ("orders.json", b"\xff", "the file is not encoded in UTF-8"),
        ("orders.xml", "<orders/>", "must end with .csv or .json"),
    ],
)
def test_a_file_that_is_no_list_of_orders_is_refused_with_the_reason(
    name: str, content: str | bytes, reason: str, run: Import, orders_db: Database
) -> None:
    done = run(content, name)
    assert done.exit_code == 1
    assert reason in done.output
    assert rows(orders_db) == []


def test_a_file_that_does_not_exist_is_named(
    orders_settings: Settings, orders_db: Database, tmp_path: Path
) -> None:
    said = run_command(orders_settings, tmp_path, "import", "nowhere.csv")
    assert "nowhere.csv: the file can't be read: No such file or directory" in said
    assert "status 1" in said


def test_more_than_a_batch_is_loaded_as_a_whole_or_not_at_all(
    run: Import, orders_db: Database
) -> None:
    count = 2 * BATCH + 1
    content = "\n".join([HEADER, *(f"A{n},{n},1,pending" for n in range(count))])
    # the last of them is refused by the database alone
    refuse = f"ADD CONSTRAINT no_such CHECK (order_id <> 'A{count - 1}')"
    with altered(orders_db, "orders", refuse, "ALTER TABLE orders DROP CONSTRAINT no_such"):
        assert run(content).exit_code == 1
        assert rows(orders_db) == []
    assert f"orders loaded: {count};" in run(content).output
    assert [order.order_id for order in rows(orders_db)] == [f"A{n}" for n in range(count)]
    assert len(rows(orders_db, "order_history")) == count


def test_the_sample_is_loaded_by_the_command_with_a_byte_order_mark_or_without(
    orders_settings: Settings, orders_db: Database, tmp_path: Path
) -> None:
    sample = SAMPLES / "orders.csv"
    marked = tmp_path / "marked.csv"
    marked.write_bytes("\N{BYTE ORDER MARK}".encode() + sample.read_bytes())
    count = len(sample.read_text().splitlines()) - 1
    loaded = run_command(orders_settings, tmp_path, "import", str(sample))
    assert f"orders loaded: {count}; skipped, since they exist: 0" in loaded
    assert "status 0" in loaded
    again = run_command(orders_settings, tmp_path, "import", str(marked))
    assert f"orders loaded: 0; skipped, since they exist: {count}" in again


def test_a_wrong_order_of_a_later_batch_undoes_the_batches_before_it(
    run: Import, orders_db: Database
) -> None:
    lines = [HEADER, *(f"A{n},{n},1,pending" for n in range(2 * BATCH)), "B,1,1,lost", "C,1,1,lost"]
    done = run("\n".join(lines))
    assert done.exit_code == 1
    assert [line.split(":")[0] for line in done.output.splitlines()[:2]] == [
        f"line {2 * BATCH + 2}",
        f"line {2 * BATCH + 3}",
    ]
    assert rows(orders_db) == []


def test_text_is_loaded_as_it_is(run: Import, orders_db: Database) -> None:
    texts = [
        "a\\b",
        'say "hi"',
        "{1,2}",
        "NULL",
        "one\ntwo\r\n\\.\nthree",
        "tab\tand, comma",
        "\u0434",
    ]
    orders = [
        {"order_id": text, "customer_id": text[::-1], "total_amount": 1, "status": "pending"}
        for text in texts
    ]
    done = run(json.dumps(orders), "orders.json")
    assert done.exit_code == 0, done.output
    assert [(order.order_id, order.customer_id) for order in rows(orders_db)] == [
        (text, text[::-1]) for text in texts
    ]


def test_orders_are_found_by_id_while_an_import_runs(orders_db: Database) -> None:
    # autovacuum counts no order while another's import runs, and does not count again soon
    with orders_db.transaction() as other:
        other.execute(
            text(
                "INSERT INTO orders (order_id, customer_id, total_amount) "
                "SELECT number, 1, 1 FROM generate_series(1, 5000) AS number"
            )
        )
        with orders_db.autocommit() as autovacuum:
            autovacuum.execute(text("ANALYZE orders"))
        other.rollback()
    with orders_db.transaction() as connection:
        load(connection, imported("A", 2 * BATCH))
        with orders_db.autocommit() as autovacuum:
            autovacuum.execute(text("ANALYZE (SKIP_LOCKED) orders"))
        check = text("EXPLAIN SELECT FROM ONLY orders WHERE id = 1 FOR KEY SHARE")
        plan = "\n".join(connection.execute(check).scalars())
        assert "orders_pkey" in plan
        connection.rollback()


def imported(prefix: str, count: int) -> Iterator[ImportedOrder]:
    """So many orders of one customer."""
    for number in range(count):
        yield ImportedOrder(
            order_id=f"{prefix}{number}", customer_id="1", total_amount=Decimal(1), status="pending"
        )


def test_an_import_beside_another_ends_with_one_sentence(
    run: Import, orders_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database_module._OPTIONS, "lock_timeout", 50)
    with orders_db.transaction() as other:
        other.execute(text("LOCK orders IN SHARE UPDATE EXCLUSIVE MODE"))
        done = run(f"{HEADER}\nA1,1,1,pending\n")
    assert done.exit_code == 1
    assert "another import, or a VACUUM of orders, takes too long; none is loaded" in done.output
    assert rows(orders_db) == []
