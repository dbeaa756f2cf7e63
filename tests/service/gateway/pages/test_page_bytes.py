"""A page of any list ends at about 1 MiB, and its link leads to all the rest, in order."""

import logging
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from chassis.storage.database import Database
from chassis.storage.page_size import MAX_BYTES
from inventory import movies, products
from tests.support.answers import content, walked

ROWS = 250  # of several KB each, which fill more than one page
SHORT_ROWS = 1000  # of about 1 KB
MOVIES = """INSERT INTO movies (title, description)
    SELECT 'Movie ' || n, repeat(:sign, 10000) FROM generate_series(1, :rows) n"""
PRODUCTS = """INSERT INTO products (name, description, price, stock)
    SELECT 'Product ' || n, repeat(:sign, 10000), 9.99, 1 FROM generate_series(1, :rows) n"""
CUSTOMERS = """INSERT INTO customers (name, email, company, phone)
    SELECT repeat(:sign, 255), n || '@example.com', repeat(:sign, 255), '+33 1 23 45 67 89'
    FROM generate_series(1, :rows) n"""
BILLS = """INSERT INTO orders (message_id, user_id, number_of_items, total_amount, order_id)
    SELECT repeat(:sign, 250) || n, repeat(:sign, 64), 1, 9.99, repeat(:sign, 50)
    FROM generate_series(1, :rows) n"""
ORDERS = """WITH made AS (
    INSERT INTO orders (order_id, customer_id, total_amount)
    SELECT repeat(:sign, 40) || n, '1', 9.99 FROM generate_series(1, :rows) n RETURNING id)
    INSERT INTO order_lines (order_pk, product_id, name, quantity, unit_price)
    SELECT id, line, repeat(:sign, 255), 1, 9.99 FROM made, generate_series(1, 20) line"""
EVENTS = """INSERT INTO events (uid, solution, model, action, event_timestamp, data)
    SELECT gen_random_uuid(), 's', 'm', 'a', now() - n * interval '1 second',
           jsonb_build_object('text', repeat(:sign, 5000)) FROM generate_series(1, :rows) n"""
SIGNS = {"of one byte": "x", "of four bytes": "😀", "that JSON writes with six bytes": "\x01"}
SIGN = pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)


@pytest.fixture(autouse=True)
def logs_no_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """See that a page which ends early leaves no cursor that can't be closed any more."""
    yield
    records = caplog.get_records("call")
    assert not [each.getMessage() for each in records if each.levelno >= logging.ERROR]


@pytest.fixture
def filled() -> Callable[..., None]:
    """Fill a table with rows whose texts consist of a sign."""

    def fill(database: Database, statement: str, sign: str, rows: int = ROWS) -> None:
        with database.autocommit() as connection:
            connection.execute(text(statement), {"sign": sign, "rows": rows})

    return fill


def check(client: FlaskClient, path: str, ids: list[int]) -> None:
    """Walk a list and check the pages, and that they show the rows with these ids, in order."""
    seen: list[int] = []
    pages = 0
    for response in walked(client, f"{path}?limit={len(ids)}"):
        page = content(response)
        assert len(response.data) <= MAX_BYTES or len(page) == 1
        seen += [row["id"] for row in page]
        pages += 1
    assert seen == ids
    assert pages > 1


UP, DOWN = list(range(1, ROWS + 1)), list(range(ROWS, 0, -1))


@SIGN
@pytest.mark.parametrize(("path", "statement"), [("movies", MOVIES), ("products", PRODUCTS)])
def test_pages_of_long_descriptions_end_at_1_mib(
    path: str,
    statement: str,
    sign: str,
    inventory: FlaskClient,
    movies_db: Database,
    filled: Callable[..., None],
) -> None:
    filled(movies_db, statement, sign)
    check(inventory, f"/api/{path}", UP)


@SIGN
def test_pages_of_customers_end_at_1_mib(
    sign: str, customers: FlaskClient, customers_db: Database, filled: Callable[..., None]
) -> None:
    filled(customers_db, CUSTOMERS, sign if sign != "x" else "é", SHORT_ROWS)
    check(customers, "/api/customers", list(range(1, SHORT_ROWS + 1)))


def test_pages_of_bills_end_at_1_mib(
    billing: FlaskClient, billing_db: Database, filled: Callable[..., None]
) -> None:
    filled(billing_db, BILLS, "😀", SHORT_ROWS)
    ids = []
    for response in walked(billing, f"/api/billing?limit={SHORT_ROWS}"):
        assert len(response.data) <= MAX_BYTES
        ids += [bill["id"].strip("😀") for bill in content(response)]
    assert ids == [str(number) for number in range(SHORT_ROWS, 0, -1)]


@SIGN
@pytest.mark.parametrize("path", ["orders", "orders/customer/1", "orders/status/pending"])
def test_pages_of_orders_with_many_lines_end_at_1_mib(
    path: str, sign: str, orders: FlaskClient, orders_db: Database, filled: Callable[..., None]
) -> None:
    filled(orders_db, ORDERS, sign)
    check(orders, f"/api/{path}", DOWN)
    lines = [len(order["items"]) for order in content(orders.get(f"/api/{path}?limit={ROWS}"))]
    assert set(lines) == {20}


@SIGN
def test_pages_of_events_end_at_1_mib(
    sign: str, gateway: FlaskClient, gateway_db: Database, filled: Callable[..., None]
) -> None:
    filled(gateway_db, EVENTS, sign)
    check(gateway, "/api/events", UP)


def test_a_row_that_is_longer_than_a_page_is_a_page_of_its_own(
    orders: FlaskClient, orders_db: Database
) -> None:
    lines = text(ORDERS.replace("(1, 20)", "(1, 1000)"))
    with orders_db.autocommit() as connection:
        connection.execute(lines, {"sign": "\x01", "rows": 3})
    sizes = [len(content(page)) for page in walked(orders, "/api/orders?limit=100")]
    assert sizes == [1, 1, 1]


@pytest.mark.parametrize("kind", ["movies", "products"])
def test_rows_behind_a_page_are_not_fetched(
    kind: str, movies_db: Database, filled: Callable[..., None]
) -> None:
    filled(movies_db, MOVIES if kind == "movies" else PRODUCTS, "😀")
    everything = {"name": None, "movie_id": None, "in_stock": None, "ids": None}
    with movies_db.autocommit() as connection:
        rows = (
            movies.find(connection, title=None, after=None, limit=ROWS)
            if kind == "movies"
            else products.find(connection, **everything, after=None, limit=ROWS)
        )
    fetched = sum(len((row["description"] or "").encode()) for row in rows)
    assert MAX_BYTES < fetched <= MAX_BYTES + 2 * 40_000
