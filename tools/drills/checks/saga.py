"""Checks settled orders: status, history, stock, bill and mails."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tools.drills.checks.findings import LOST, REPEATED, WRONG, Finding
from tools.drills.targets.platform import Source

FINAL = ("completed", "cancelled")
HISTORIES = (
    ["pending", "processing", "completed"],
    ["pending", "cancelled"],
    ["pending", "processing", "cancelled"],
)


class PlacedOrder(NamedTuple):
    """An order with items, as orders_db records it."""

    uid: str
    id: int
    status: str


def placed(source: Source, where: str) -> list[PlacedOrder]:
    """The orders that match `where` (SQL)."""
    rows = source.rows("orders", f"SELECT uid::text, id, status FROM orders WHERE {where}")
    return [PlacedOrder(row["uid"], row["id"], row["status"]) for row in rows]


def findings(
    source: Source, orders: Sequence[PlacedOrder], stock: Mapping[int, int]
) -> list[Finding]:
    """What is wrong with `orders`, which have to be all orders of the products of `stock`.

    Args:
        source: reads the databases and mails.
        orders: the orders to check.
        stock: the initial stock of each product.
    """
    return [
        *_open(orders),
        *_wrong_histories(source, orders),
        *_wrong_stock(source, orders, stock),
        *_wrong_bills(source, orders),
        *_wrong_mails(source, orders),
    ]


def _open(orders: Sequence[PlacedOrder]) -> list[Finding]:
    return [
        Finding(LOST, order.uid, f"the order {order.id} is still {order.status}")
        for order in orders
        if order.status not in FINAL
    ]


def _wrong_histories(source: Source, orders: Sequence[PlacedOrder]) -> list[Finding]:
    select = f"""
        SELECT order_pk, to_status FROM order_history
        WHERE order_pk IN ({_numbers(order.id for order in orders)}) ORDER BY id
    """
    passed: dict[int, list[str]] = defaultdict(list)
    for row in source.rows("orders", select):
        passed[row["order_pk"]].append(row["to_status"])
    wrong = [o for o in orders if o.status in FINAL and passed[o.id] not in HISTORIES]
    return [Finding(WRONG, o.uid, f"the order {o.id} was {passed[o.id]}") for o in wrong]


def _wrong_stock(
    source: Source, orders: Sequence[PlacedOrder], stock: Mapping[int, int]
) -> list[Finding]:
    """The stock left and what completed orders took have to add up to the initial stock."""
    taken = _quantities(source, (order.id for order in orders if order.status == "completed"))
    reserved = _reserved(source, stock)
    select = f"SELECT id, stock FROM products WHERE id IN ({_numbers(stock)})"
    there = {row["id"]: row["stock"] for row in source.rows("inventory", select)}
    return [
        Finding(
            REPEATED if reserved[product] > taken[product] else LOST,
            f"product {product}",
            f"product {product}: {there.get(product)} in stock, {reserved[product]} reserved,"
            f" {taken[product]} in completed orders; initial stock: {at_first}",
        )
        for product, at_first in stock.items()
        if there.get(product, 0) + reserved[product] != at_first
        or reserved[product] != taken[product]
    ]


def _quantities(source: Source, ids: Iterable[int]) -> Counter[int]:
    select = f"""
        SELECT product_id, sum(quantity)::bigint AS quantity FROM order_lines
        WHERE order_pk IN ({_numbers(ids)}) GROUP BY product_id
    """
    rows = source.rows("orders", select)
    return Counter({row["product_id"]: row["quantity"] for row in rows})


def _reserved(source: Source, products: Iterable[int]) -> Counter[int]:
    select = f"""
        SELECT product_id, sum(quantity)::bigint AS quantity
        FROM reservation_lines JOIN reservations USING (uid)
        WHERE state IN ('reserved', 'completed') AND product_id IN ({_numbers(products)})
        GROUP BY product_id
    """
    rows = source.rows("inventory", select)
    return Counter({row["product_id"]: row["quantity"] for row in rows})


def _wrong_bills(source: Source, orders: Sequence[PlacedOrder]) -> list[Finding]:
    """A completed order has one valid bill; a cancelled one has none, or a void one."""
    select = f"""
        SELECT message_id, voided_at IS NULL AS valid FROM orders
        WHERE message_id IN ({_texts(order.uid for order in orders)})
    """
    bills: dict[str, list[bool]] = defaultdict(list)
    for row in source.rows("billing", select):
        bills[row["message_id"]].append(row["valid"])
    good = {"completed": ([True],), "cancelled": ([], [False])}
    return [
        Finding(
            LOST if not bills[order.uid] else REPEATED,
            order.uid,
            f"the order {order.id} is {order.status}, with {len(bills[order.uid])} bills,"
            f" {sum(bills[order.uid])} of them valid",
        )
        for order in orders
        if order.status in good and bills[order.uid] not in good[order.status]
    ]


def _wrong_mails(source: Source, orders: Sequence[PlacedOrder]) -> list[Finding]:
    """Each order has one mail that confirms it, and one that says how it ended."""
    ended = [order for order in orders if order.status in FINAL]
    uids = {order.uid for order in ended}
    wanted = Counter(f"{order.uid}.{step}" for order in ended for step in ("created", order.status))
    written = source.mails().items()
    there = Counter({name: count for name, count in written if name.partition(".")[0] in uids})
    wrong = [*(wanted - there), *(there - wanted)]
    return [
        Finding(LOST if not there[name] else REPEATED, name, f"{there[name]} mails {name}")
        for name in wrong
    ]


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(map(str, values)) or "NULL"


def _texts(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values) or "NULL"
