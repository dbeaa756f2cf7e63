"""What was promised against what is there."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioning.rabbitmq.definitions import DEAD_LETTERS
from tools.drills.checks import saga
from tools.drills.checks.findings import LOST, REPEATED, WRONG, Finding
from tools.drills.targets.platform import Source
from tools.drills.workload.history import Entry
from tools.drills.workload.request_generator import Goods
from tools.stack.layout import SERVICES

Recorded = Mapping[str, Sequence[str]]
"""The ids under which each name is in the databases."""
# what each kind is recorded as: service, and the name and the id of everything of a run
SELECTS = {
    "bill": (
        "billing",
        "SELECT user_id AS name, message_id AS id FROM orders WHERE user_id LIKE 'drill-{run}-%'",
    ),
    "order": (
        "orders",
        "SELECT 'drill-{run}-' || quantity AS name, order_pk::text AS id FROM order_lines"
        " WHERE product_id = {marker}",
    ),
    "customer": (
        "customers",
        "SELECT name, id::text AS id FROM customers WHERE name LIKE 'drill-{run}-%'",
    ),
    "event": (
        "gateway",
        "SELECT data->>'name' AS name, uid::text AS id FROM events"
        " WHERE solution = 'drill' AND model = '{run}'",
    ),
}
UNSENT = "SELECT count(*) AS unsent FROM outbox WHERE sent_at IS NULL"
UNTOLD = "SELECT count(*) AS untold FROM events WHERE delivered_at IS NULL AND model = '{run}'"
# orders of what there is enough of, which only a client may cancel
REJECTED = (
    "SELECT orders.uid::text, orders.id FROM orders JOIN order_history ON order_pk = orders.id"
    " WHERE to_status = 'cancelled' AND cause = 'stock.rejected'"
    " AND orders.id IN (SELECT order_pk FROM order_lines WHERE product_id = {marker})"
    " AND orders.id NOT IN (SELECT order_pk FROM order_lines WHERE product_id = {scarce})"
)
COPIES = "SELECT count(*) AS copies FROM customers WHERE email LIKE 'drill-{run}-%'"


@dataclass(frozen=True)
class Judge:
    """Judges one run, by what `source` shows.

    Attributes:
        stock: how many there were of each product of `goods`.
        dead: how many messages belong into each dead-letter queue.
    """

    source: Source
    goods: Goods
    stock: Mapping[int, int]
    dead: Mapping[str, int]

    def recorded(self, kinds: Iterable[str] = SELECTS) -> Recorded:
        """What is in the databases. Raises StackError if one is away."""
        found: dict[str, list[str]] = defaultdict(list)
        for kind in kinds:
            service, select = SELECTS[kind]
            names = {"run": self.goods.run, "marker": self.goods.marker}
            for row in self.source.rows(service, select.format(**names)):
                found[row["name"]].append(row["id"])
        return found

    def findings(self, entries: Sequence[Entry]) -> list[Finding]:
        """All that is wrong now. Raises StackError if a database is away."""
        found = compare(entries, self.recorded())
        return [*found, *self._unsettled()]

    def missing(self, entries: Sequence[Entry]) -> list[Finding]:
        """Which bills of `entries` are not recorded, and which orders not settled."""
        own = [entry for entry in entries if entry.request.kind in ("bill", "order")]
        lost = compare(own, self.recorded(("bill", "order")))
        ids = ", ".join(i for e in own if e.request.kind == "order" for i in e.ids)
        statuses = saga.placed(self.source, f"id IN ({ids or 'NULL'})")
        open_ones = [order for order in statuses if order.status not in saga.FINAL]
        return lost + [Finding(LOST, o.uid, f"the order {o.id} is {o.status}") for o in open_ones]

    def is_completed(self, order: Entry) -> bool:
        """Whether an order was completed. Raises StackError if the database of orders is away."""
        ids = ", ".join(order.ids)
        return [o.status for o in saga.placed(self.source, f"id IN ({ids})")] == ["completed"]

    def _unsettled(self) -> Iterator[Finding]:
        of_run = f"id IN (SELECT order_pk FROM order_lines WHERE product_id = {self.goods.marker})"
        yield from saga.findings(self.source, saga.placed(self.source, of_run), self.stock)
        yield from self._wrongly_rejected()
        for service in SERVICES:
            [row] = self.source.rows(service, UNSENT)
            if row["unsent"]:
                words = f"{row['unsent']} messages wait in the outbox of {service}"
                yield Finding(LOST, f"outbox of {service}", words)
        [row] = self.source.rows("gateway", UNTOLD.format(run=self.goods.run))
        if row["untold"]:
            yield Finding(LOST, "events", f"{row['untold']} events are not delivered")
        yield from self._uncopied_customers()
        yield from self._dead_letters()
        for stray in self.source.strays():
            yield Finding(WRONG, stray, f"{stray} works on, although its parent is gone")

    def _wrongly_rejected(self) -> Iterator[Finding]:
        """Orders that inventory had no stock for, though it had."""
        select = REJECTED.format(marker=self.goods.marker, scarce=self.goods.scarce)
        for row in self.source.rows("orders", select):
            words = f"the order {row['id']} was rejected, with stock enough"
            yield Finding(LOST, row["uid"], words)

    def _uncopied_customers(self) -> Iterator[Finding]:
        """The directory of orders, which follows the customers by their events."""
        select = COPIES.format(run=self.goods.run)
        here, there = (self.source.rows(s, select)[0]["copies"] for s in ("customers", "orders"))
        if here != there:
            words = f"of {here} customers orders knows {there}"
            yield Finding(LOST if there < here else REPEATED, "customers", words)

    def _dead_letters(self) -> Iterator[Finding]:
        depths = self.source.depths()
        for queue, wanted in self.dead.items():
            there = depths.get(queue)
            if there != wanted:
                words = f"{queue} has {there} messages, where {wanted} belong"
                yield Finding(LOST if there is None or there < wanted else WRONG, queue, words)


def dead_letters(source: Source) -> dict[str, int]:
    """How many messages are in each dead-letter queue.

    To be asked of a broker that was not restarted just before: for some seconds it may say 0.
    """
    depths = source.depths().items()
    return {name: depth for name, depth in depths if name.endswith(DEAD_LETTERS)}


def compare(entries: Sequence[Entry], recorded: Recorded) -> list[Finding]:
    """What is wrong with each request, by what clients saw and what is there."""
    return [
        found for entry in entries for found in _of(entry, recorded.get(entry.request.name, ()))
    ]


def _of(entry: Entry, there: Sequence[str]) -> Iterator[Finding]:
    request, ids = entry.request, sorted(entry.ids)
    what = f"the {request.kind} {request.name}"
    if len(there) > 1:
        yield Finding(REPEATED, request.name, f"{what} is there {len(there)} times")
    if len(ids) > 1:
        yield Finding(REPEATED, request.name, f"{what} was accepted as {' and as '.join(ids)}")
    if ids and not there:
        yield Finding(LOST, request.name, f"{what}, accepted as {ids[0]}, is not there")
    elif ids and not set(ids) & set(there):
        words = f"{what}, accepted as {ids[0]}, is there as {there[0]}"
        yield Finding(WRONG, request.name, words)


def once(entries: Sequence[Entry], recorded: Recorded) -> int:
    """How many of the requests that were accepted are there once."""
    return sum(
        bool(entry.ids) and len(recorded.get(entry.request.name, ())) == 1 for entry in entries
    )
