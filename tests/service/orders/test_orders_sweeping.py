"""Each message of the saga lost once, or over and over: each order ends all the same."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pika
import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from pika.channel import Channel
from sqlalchemy import text

from billing.handlers.bill_recorder import BillHandler
from billing.handlers.order_cancelled import REACTIONS as VOIDING
from chassis.messaging.delivery import Delivery, Handler
from chassis.messaging.event_handler import EventHandler
from chassis.storage.database import Database
from chassis.topology_file import read_topology
from inventory import consumer as inventory_consumer
from orders import consumer, earlier_sales
from orders.__main__ import commands
from orders.imports.files import ImportedOrder
from orders.imports.loading import load
from orders.mail.worker import MailHandler
from orders.orders import create as create_order
from orders.orders import move, remove
from orders.queries import OrderView
from orders.settings import Settings
from orders.sweeping import needs, resending
from orders.sweeping.needs import Needs
from orders.sweeping.sweeper import Sweeper
from orders.transitions import Cause
from tests.support.orders_api import ORDERS, create
from tests.support.process import environment
from tests.support.reservations import states, stocks
from tests.support.watched import gauge

API = Cause("orders-api", "api", "request-1")
PAUSE = timedelta(seconds=60)
Lost = Callable[[str, str], bool]
"""Whether a message (its type) is lost on its way into a queue."""


def nothing(_type: str, _queue: str) -> bool:
    """Lose nothing."""
    return False


class Shop:
    """Orders, inventory, billing and mails on real databases; the test is their broker."""

    def __init__(self, orders: Database, inventory: Database, billing: Database) -> None:
        self.orders, self.inventory, self.billing = orders, inventory, billing
        self.queues: dict[str, Handler[Any]] = {
            "orders_inbox": consumer.handler(orders),
            "mail_inbox": MailHandler(orders),
            "inventory_inbox": inventory_consumer.create_handler(inventory),
            "billing_inbox": EventHandler(billing, "billing-consumer", VOIDING),
            "order_bills": BillHandler(billing, of_orders=True),
        }
        self.lost: Counter[tuple[str, str]] = Counter()
        self._delivered = {id(database): 0 for database in (orders, inventory, billing)}
        with inventory.autocommit() as connection:
            stock = "INSERT INTO products (id, name, price, stock) VALUES (1, 'DVD', 9.99, 10)"
            connection.execute(text(stock))

    def order(self, quantity: int = 2) -> OrderView:
        """Take an order."""
        line = {"product_id": 1, "name": "DVD", "quantity": quantity, "unit_price": Decimal("9.99")}
        amount = quantity * Decimal("9.99")
        values = {"order_id": None, "customer_id": "1", "total_amount": amount, "status": "pending"}
        with self.orders.transaction() as connection:
            return create_order(connection, values, [line], API)

    def cancel(self, order: OrderView) -> None:
        """Cancel an order by hand."""
        with self.orders.transaction() as connection:
            move(connection, order["id"], "cancelled", API)

    def delete(self, order: OrderView) -> None:
        """Delete an order by hand."""
        with self.orders.transaction() as connection:
            remove(connection, order["id"], API)

    def run(self, lost: Lost = nothing, most: int = 100) -> None:
        """Deliver what is in the outboxes, and what that leads to, but for what is lost."""
        for _ in range(most):
            rows = [row for database in self._databases() for row in self._new(database)]
            if not rows:
                return
            for row in rows:
                for queue in self._queues_of(row):
                    self._deliver(queue, row, lost)

    def sweep(self) -> resending.SweepResult:
        """Sweep once, as if all orders were old enough, and none had been sent again."""
        with self.orders.transaction() as connection:
            for table in ("orders", "deleted_orders"):
                later = f"UPDATE {table} SET sweep_at = now() WHERE sweep_at > now()"
                connection.execute(text(later))
            swept = resending.sweep(connection, timedelta(0), PAUSE)
        return swept

    def is_settled(self, order: OrderView, status: str) -> None:
        """Check that all is well with an order, and that nothing is sent for it any more."""
        [row] = self.rows(self.orders, f"SELECT * FROM orders WHERE id = {order['id']}")
        assert row.status == status
        steps = f"SELECT step FROM mails WHERE order_uid = '{order['uid']}' ORDER BY step"
        assert sorted(["created", status]) == [mail.step for mail in self.rows(self.orders, steps)]
        self.sweep()
        self.run()
        [row] = self.rows(self.orders, f"SELECT * FROM orders WHERE id = {order['id']}")
        assert row.sweep_at is None
        query = f"SELECT voided_at FROM orders WHERE message_id = '{order['uid']}'"
        reserved = "SELECT FROM reservations WHERE state = 'reserved'"
        assert self.rows(self.inventory, f"{reserved} AND uid = '{order['uid']}'") == []
        bills = [bill.voided_at is None for bill in self.rows(self.billing, query)]
        assert bills in ([[True]] if status == "completed" else [[], [False]])

    def states(self, order: OrderView) -> list[str]:
        """The states that an order has been in."""
        query = f"SELECT to_status FROM order_history WHERE order_pk = {order['id']} ORDER BY id"
        return [row.to_status for row in self.rows(self.orders, query)]

    def rows(self, database: Database, query: str) -> list[Any]:
        """What a query finds."""
        with database.autocommit() as connection:
            return list(connection.execute(text(query)))

    def _databases(self) -> list[Database]:
        return [self.orders, self.inventory, self.billing]

    def _new(self, database: Database) -> list[Any]:
        after = self._delivered[id(database)]
        unsent = self.rows(database, f"SELECT * FROM outbox WHERE id > {after} ORDER BY id")
        if unsent:
            self._delivered[id(database)] = unsent[-1].id
            with database.autocommit() as connection:
                connection.execute(text("UPDATE outbox SET sent_at = now()"))
        return unsent

    def _queues_of(self, row: Any) -> list[str]:
        if not row.exchange:
            return [row.routing_key]
        keys = (row.routing_key, row.routing_key.partition(".")[0] + ".*", "#")
        wanted = {(row.exchange, key) for key in keys}
        queues = [q.name for q in read_topology().queues if wanted & set(q.bindings)]
        assert queues or not row.mandatory
        return queues

    def _deliver(self, queue: str, row: Any, lost: Lost) -> None:
        body = bytes(row.body)
        type = "bill" if queue == "order_bills" else json.loads(body)["type"]
        if lost(type, queue):
            self.lost[type, queue] += 1
            return
        properties = pika.BasicProperties(message_id=row.message_id, headers=row.headers)
        handler = self.queues[queue]
        handler.apply([handler.parse(Delivery(cast(Channel, None), 1, body, properties))])


@pytest.fixture
def shop(orders_db: Database, movies_db: Database, billing_db: Database) -> Shop:
    """A shop with ten copies of one product."""
    return Shop(orders_db, movies_db, billing_db)


def once(type: str, queue: str) -> Lost:
    """Lose the first message of a type into a queue."""
    left = [(type, queue)]

    def lost(type: str, queue: str) -> bool:
        if (type, queue) not in left:
            return False
        left.remove((type, queue))
        return True

    return lost


TO_COMPLETED = [
    ("order.created", "inventory_inbox"),
    ("order.created", "mail_inbox"),
    ("stock.reserved", "orders_inbox"),
    ("bill", "order_bills"),
    ("bill.recorded", "orders_inbox"),
    ("order.completed", "mail_inbox"),
    ("order.completed", "inventory_inbox"),
    ("stock.sold", "orders_inbox"),
]
TO_REJECTED = [
    ("order.created", "inventory_inbox"),
    ("stock.rejected", "orders_inbox"),
    ("order.cancelled", "mail_inbox"),
]
TO_CANCELLED = [
    ("order.cancelled", "inventory_inbox"),
    ("order.cancelled", "billing_inbox"),
    ("order.cancelled", "mail_inbox"),
    ("stock.released", "orders_inbox"),
    ("bill.voided", "orders_inbox"),
    ("bill", "order_bills"),
]


@pytest.mark.parametrize(("type", "queue"), TO_COMPLETED)
def test_an_order_completes_whichever_of_its_messages_is_lost(
    shop: Shop, type: str, queue: str
) -> None:
    order = shop.order()
    shop.run(once(type, queue))
    assert shop.lost == {(type, queue): 1}
    assert shop.sweep() == (0, 1, False)
    shop.run()
    assert shop.states(order) == ["pending", "processing", "completed"]
    assert stocks(shop.inventory) == {1: 8}
    shop.is_settled(order, "completed")


@pytest.mark.parametrize(("type", "queue"), TO_REJECTED)
def test_an_order_without_stock_is_cancelled_whichever_of_its_messages_is_lost(
    shop: Shop, type: str, queue: str
) -> None:
    order = shop.order(quantity=11)
    shop.run(once(type, queue))
    assert shop.lost == {(type, queue): 1}
    assert shop.sweep() == (0, 1, False)
    shop.run()
    assert shop.states(order) == ["pending", "cancelled"]
    [row] = shop.rows(shop.orders, "SELECT reason FROM orders")
    assert row.reason == "not enough in stock: 11 of DVD asked, 10 available"
    assert stocks(shop.inventory) == {1: 10}
    shop.is_settled(order, "cancelled")


@pytest.mark.parametrize(("type", "queue"), TO_CANCELLED)
def test_a_cancelled_order_leaves_nothing_behind_whichever_of_its_messages_is_lost(
    shop: Shop, type: str, queue: str
) -> None:
    order = shop.order()
    lost = once(type, queue)
    # as far as processing: the bill is on its way, or lost
    shop.run(lambda type, queue: lost(type, queue) or type == "bill.recorded", most=3)
    shop.cancel(order)
    shop.run(lost)
    assert (type, queue) in shop.lost
    for _ in range(2):
        shop.sweep()
        shop.run()
    assert shop.states(order) == ["pending", "processing", "cancelled"]
    assert stocks(shop.inventory) == {1: 10}
    shop.is_settled(order, "cancelled")


@pytest.mark.parametrize("is_lost", [True, False])
def test_an_order_that_is_cancelled_before_inventory_knows_it_ends(
    shop: Shop, is_lost: bool
) -> None:
    order = shop.order()
    shop.cancel(order)
    shop.run(lambda type, _queue: is_lost and type == "order.cancelled")
    for _ in range(2):
        shop.sweep()
        shop.run()
    assert stocks(shop.inventory) == {1: 10}
    assert shop.states(order) == ["pending", "cancelled"]
    shop.is_settled(order, "cancelled")


# what a deleted order may still wait for
OWED_BY_DELETED = [
    ("completed", "order.completed", "inventory_inbox"),
    ("completed", "stock.sold", "orders_inbox"),
    ("cancelled", "order.cancelled", "inventory_inbox"),
    ("cancelled", "stock.released", "orders_inbox"),
    ("cancelled", "order.cancelled", "billing_inbox"),
    ("cancelled", "bill.voided", "orders_inbox"),
    ("cancelled", "bill", "order_bills"),
]


@pytest.mark.parametrize(("status", "type", "queue"), OWED_BY_DELETED)
def test_a_deleted_order_leaves_nothing_behind_whichever_of_its_messages_is_lost(
    shop: Shop, status: str, type: str, queue: str
) -> None:
    order = shop.order()
    lost = once(type, queue)
    is_cancelled = status == "cancelled"
    shop.run(
        lambda type, queue: lost(type, queue) or (is_cancelled and type == "bill.recorded"), most=3
    )
    if is_cancelled:
        shop.cancel(order)
    shop.run(lost)
    assert shop.states(order)[-1] == status
    assert (type, queue) in shop.lost
    shop.delete(order)
    shop.run()
    assert shop.sweep() == (0, 1, False)
    shop.run()
    assert shop.sweep() == (0, 0, False)
    assert shop.rows(shop.orders, "SELECT FROM deleted_orders") == []
    assert shop.rows(shop.inventory, "SELECT FROM reservations WHERE state = 'reserved'") == []
    assert stocks(shop.inventory) == {1: 10 if is_cancelled else 8}
    bills = shop.rows(shop.billing, "SELECT voided_at FROM orders")
    assert all((bill.voided_at is not None) == is_cancelled for bill in bills)


def test_an_order_deleted_before_its_event_is_published_is_dropped_once_it_is_confirmed(
    shop: Shop,
) -> None:
    order = shop.order()
    shop.run(most=5)
    while shop.states(order)[-1] != "completed":
        shop.run(most=1)
    shop.delete(order)
    [row] = shop.rows(shop.orders, "SELECT * FROM deleted_orders")
    assert (row.uid, row.stock_owed, row.bill_owed) == (order["uid"], True, False)
    assert b"@" not in bytes(row.data)
    shop.sweep()
    [row] = shop.rows(shop.orders, "SELECT * FROM deleted_orders")
    assert row.resends == 0
    shop.run()
    assert shop.rows(shop.orders, "SELECT FROM deleted_orders") == []


def test_a_confirmed_order_leaves_no_note_when_it_is_deleted(
    shop: Shop, orders: FlaskClient
) -> None:
    kept, refused = shop.order(), shop.order(quantity=11)
    create(orders, order_id="bare")
    shop.run()
    for order_pk in (kept["id"], refused["id"], 3):
        assert orders.delete(f"{ORDERS}/{order_pk}").status_code == 200
    assert shop.rows(shop.orders, "SELECT FROM deleted_orders") == []


def completed_before(shop: Shop, number: int) -> list[OrderView]:
    """Orders of which a version without confirmations has lost the completion, as it left them."""
    made = [shop.order(quantity=1) for _ in range(number)]
    shop.run(lambda type, queue: (type, queue) == ("order.completed", "inventory_inbox"))
    with shop.orders.autocommit() as connection:
        connection.execute(text("UPDATE orders SET sweep_at = NULL"))
        connection.execute(text("INSERT INTO unconfirmed_sales VALUES (0)"))
    return made


def test_orders_completed_before_the_upgrade_are_confirmed_in_batches(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, orders: FlaskClient
) -> None:
    monkeypatch.setattr(earlier_sales, "MAX_ASKED", 3)
    monkeypatch.setattr(earlier_sales, "MAX_EXAMINED", 5)
    completed_before(shop, 7)
    assert Counter(states(shop.inventory).values()) == {"reserved": 7}
    sweeper = Sweeper(shop.orders, 60, threading.Event())
    for reserved in (4, 1, 0):
        sweeper.round()
        assert gauge("orders_stuck") == 0
        shop.run()
        assert Counter(states(shop.inventory).values())["reserved"] == reserved
    for _ in range(2):
        sweeper.round()
    assert shop.rows(shop.orders, "SELECT FROM unconfirmed_sales") == []
    assert shop.rows(shop.orders, "SELECT FROM orders WHERE stock_sold_at IS NULL") == []
    assert shop.sweep() == (7, 0, False)
    assert stocks(shop.inventory) == {1: 3}


def test_no_older_orders_are_requested_while_many_are_stuck(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_sales, "MAX_ASKED", 2)
    completed_before(shop, 5)
    sweeper = Sweeper(shop.orders, 60, threading.Event())
    sweeper.round()
    shop.run(lambda _type, _queue: True)
    assert shop.sweep() == (0, 2, False)
    shop.run(lambda _type, _queue: True)
    for _ in range(3):
        sweeper.round()
        assert gauge("orders_stuck") == 2
        assert len(shop.rows(shop.orders, "SELECT FROM orders WHERE sweep_at IS NULL")) == 3


@pytest.mark.parametrize("seed", range(5))
def test_orders_end_though_every_third_message_is_lost(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)
    made = [shop.order(quantity=chance.randint(1, 6)) for _ in range(6)]
    for _ in range(100):
        shop.run(lambda _type, _queue: chance.random() < 0.3, most=3)
        if chance.random() < 0.3:
            open_ones = [order for order in made if shop.states(order)[-1] == "processing"]
            for order in open_ones[:1]:
                shop.cancel(order)
        shop.run(lambda _type, _queue: chance.random() < 0.3)
        if shop.sweep() == (0, 0, False):
            break
    sold = 0
    for order in made:
        status = shop.states(order)[-1]
        assert status in ("completed", "cancelled")
        sold += order["items"][0]["quantity"] if status == "completed" else 0
        shop.is_settled(order, status)
    assert stocks(shop.inventory) == {1: 10 - sold}


def test_a_finished_order_is_settled_without_a_message(shop: Shop) -> None:
    order = shop.order()
    shop.run()
    before = shop.rows(shop.orders, "SELECT count(*) FROM outbox")
    assert shop.sweep() == (1, 0, False)
    assert shop.sweep() == (0, 0, False)
    assert shop.rows(shop.orders, "SELECT count(*) FROM outbox") == before
    shop.is_settled(order, "completed")


def test_an_order_is_not_resent_early_and_then_waits_longer_each_time(
    shop: Shop,
) -> None:
    shop.order()
    shop.run(lambda type, _queue: type == "order.created")

    def sweep_after(seconds: float) -> int:
        """Sweep when so many seconds have passed since the last time something was sent."""
        with shop.orders.transaction() as connection:
            back = "UPDATE orders SET sweep_at = sweep_at - make_interval(secs => :seconds)"
            connection.execute(text(back), {"seconds": seconds})
            swept = resending.sweep(connection, PAUSE, PAUSE)
            if not swept.unsettled:
                connection.rollback()
            return swept.unsettled

    pause = PAUSE.total_seconds()
    for doubled in (1, 2, 4, 8):
        assert sweep_after(pause * doubled - 5) == 0
        # up to a fifth more, by chance
        assert sweep_after(pause * doubled * 1.2 + 5) == 1
        shop.run(lambda _type, _queue: True)
    [row] = shop.rows(shop.orders, "SELECT * FROM orders")
    assert row.resends == 4


def test_an_unanswered_request_is_finally_repeated_daily_and_never_given_up(
    shop: Shop,
) -> None:
    shop.order()
    shop.run(lambda _type, _queue: True)
    pauses = []
    for _ in range(14):
        shop.sweep()
        shop.run(lambda _type, _queue: True)
        [row] = shop.rows(shop.orders, "SELECT sweep_at - now() AS pause FROM orders")
        pauses.append(row.pause + PAUSE)
    day = timedelta(days=1)
    assert day * 0.9 < pauses[-2] < day * 1.3 and day * 0.9 < pauses[-1] < day * 1.3
    [row] = shop.rows(shop.orders, "SELECT resends FROM orders")
    assert row.resends == 14
    [lacking] = needs_of_stuck(shop)
    assert (lacking.resends, lacking.step) == (14, True)


def needs_of_stuck(shop: Shop) -> list[Needs]:
    """What the orders that are stuck wait for."""
    with shop.orders.autocommit() as connection:
        return needs.stuck(connection, None, 100)


def test_an_answer_ends_the_long_pause_after_repeated_failures(shop: Shop) -> None:
    order = shop.order()
    shop.run(lambda type, _queue: type == "stock.sold")
    for _ in range(3):
        shop.sweep()
        shop.run(lambda _type, _queue: True)
    assert len(needs_of_stuck(shop)) == 1
    shop.sweep()
    shop.run()
    [row] = shop.rows(shop.orders, "SELECT resends, sweep_at <= now() AS is_due FROM orders")
    assert (row.resends, row.is_due) == (0, True)
    shop.is_settled(order, "completed")


def test_the_number_of_stuck_orders_is_counted_by_an_index_and_up_to_a_limit(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = "INSERT INTO orders (order_id, customer_id, total_amount, sweep_at, resends) SELECT"
    of_items = "INSERT INTO order_lines SELECT id, 1, 'DVD', 1, 1 FROM orders"
    with shop.orders.autocommit() as connection:
        connection.execute(text(f"{order} n, '1', 1, NULL, 0 FROM generate_series(1, 20000) n"))
        connection.execute(text(f"{order} -n, '1', 1, now(), 1 FROM generate_series(1, 10010) n"))
        connection.execute(text(of_items))
        connection.execute(text("ANALYZE orders, order_lines"))
        assert needs.count_stuck(connection) == needs.COUNT_LIMIT == 10_000
        plan = json.dumps(
            connection.execute(text(f"EXPLAIN (FORMAT JSON) {needs._COUNT}")).scalar_one()
        )
    assert '"Index Name": "orders_stuck"' in plan


def test_a_round_sends_for_a_limited_number_of_orders(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resending, "MAX_RESENT", 3)
    for _ in range(5):
        shop.order()
    shop.run(lambda _type, _queue: True)
    ago = "UPDATE orders SET sweep_at = sweep_at - interval '1 hour'"
    with shop.orders.transaction() as connection:
        connection.execute(text(ago))
        assert resending.sweep(connection, PAUSE, PAUSE) == (0, 3, False)
        assert resending.sweep(connection, PAUSE, PAUSE) == (0, 2, False)
        assert resending.sweep(connection, PAUSE, PAUSE) == (0, 0, False)


def test_messages_that_wait_in_the_outbox_are_not_requested_again(shop: Shop) -> None:
    shop.order()
    before = shop.rows(shop.orders, "SELECT count(*) FROM outbox")
    shop.sweep()
    assert shop.rows(shop.orders, "SELECT count(*) FROM outbox") == before
    [row] = shop.rows(shop.orders, "SELECT * FROM orders")
    assert (row.resends, row.sweep_at is None) == (0, False)


def test_two_sweepers_at_once_send_once(shop: Shop) -> None:
    shop.order()
    shop.run(lambda _type, _queue: True)
    with shop.orders.transaction() as one, shop.orders.transaction() as other:
        assert resending.sweep(one, timedelta(0), PAUSE).unsettled == 1
        assert resending.sweep(other, timedelta(0), PAUSE) == (0, 0, False)


def test_only_mails_are_requested_for_imported_and_bare_orders(
    shop: Shop, orders: FlaskClient
) -> None:
    imported = ImportedOrder(
        order_id="old", customer_id="1", total_amount=Decimal(1), status="pending"
    )
    with shop.orders.transaction() as connection:
        load(connection, [imported])
    bare = create(orders, order_id="bare")
    for order_pk in (1, 2):
        path = f"{ORDERS}/{order_pk}/status"
        for status in ("processing", "completed"):
            assert orders.put(path, json=status).status_code == 200
    shop.run(lambda _type, _queue: True)
    shop.sweep()
    shop.run()
    mails = shop.rows(shop.orders, "SELECT order_id, step FROM mails ORDER BY id")
    assert sorted(mails) == [("bare", "completed"), ("bare", "created"), ("old", "completed")]
    assert shop.sweep().unsettled == 0
    assert bare["order_id"] == "bare"


def test_a_resent_message_is_found_under_the_id_of_the_request(shop: Shop) -> None:
    shop.order()
    shop.run(lambda _type, _queue: True)
    shop.sweep()
    rows = shop.rows(shop.orders, "SELECT headers, message_id FROM outbox ORDER BY id")
    assert {row.headers["X-Request-ID"] for row in rows[1:]} == {"request-1"}
    assert len({row.message_id for row in rows}) == len(rows)


def test_orders_that_stay_stuck_are_counted_and_listed(
    shop: Shop,
    orders_settings: Settings,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment(
        "orders", orders_settings, tmp_path, INVENTORY_VM_IP="127.0.0.1", CUSTOMERS_VM_IP="1"
    ).items():
        monkeypatch.setenv(name, value)

    def command(*words: str) -> str:
        result = CliRunner().invoke(commands, words)
        assert result.exit_code == 0, result.output
        none = f"no order{' in state cancelled' if 'cancelled' in words else ''} is stuck\n"
        assert result.stderr == ("" if result.stdout or words[0] != "list" else none)
        return result.stdout

    for _ in range(2):
        shop.order()
    shop.run(lambda type, _queue: type == "order.created")
    assert command("list", "--stuck") == ""
    assert [line.split()[0] for line in command("list").splitlines()] == ["2", "1"]
    assert command("resend") == "sent again for 2 orders\n"
    lines = command("list", "--stuck").splitlines()
    assert [line.split()[0] for line in lines] == ["2", "1"]
    words = "sent again 1 times  inventory: stock reserved, mail-worker: mail created"
    assert all(line.endswith(words) for line in lines)
    assert command("list", "--stuck", "--status", "cancelled") == ""
    sweeper = Sweeper(shop.orders, 60, threading.Event())
    sweeper.round()
    assert gauge("orders_stuck") == 2
    shop.run()
    sweeper.round()
    assert (gauge("orders_stuck"), command("list", "--stuck")) == (0, "")
    deleted = shop.order()
    shop.run(lambda type, _queue: type == "stock.sold")
    shop.delete(deleted)
    shop.run()
    assert command("list", "--stuck") == ""
    assert command("resend") == "sent again for 1 orders\n"
    [line] = command("list", "--stuck", "--status", "completed").splitlines()
    assert line.startswith(f"3  {deleted['order_id']}  completed  deleted 20")
    assert line.endswith("sent again 1 times  inventory: stock sold")
    assert command("list", "--stuck", "--status", "cancelled") == ""
    sweeper.round()
    assert gauge("orders_stuck") == 1
    shop.run()
    sweeper.round()
    assert (gauge("orders_stuck"), command("list", "--stuck")) == (0, "")
