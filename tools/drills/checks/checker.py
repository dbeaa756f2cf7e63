"""Compares what was promised with what is recorded."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioning.rabbitmq.definitions import DEAD_LETTERS
from tools.drills.checks import saga
from tools.drills.checks.findings import LOST, REPEATED, WRONG, Finding
from tools.drills.targets.platform import Source
from tools.drills.workload.history import Entry
from tools.drills.workload.request_generator import Fixtures
from tools.stack.layout import SERVICES

Recorded = Mapping[str, Sequence[str]]
"""The recorded ids of each name."""
# where each kind is recorded: the service, and a query for name and id of all things of a run
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
UNDELIVERED = (
    "SELECT count(*) AS undelivered FROM events WHERE delivered_at IS NULL AND model = '{run}'"
)
# rejected orders of products that are in stock, which only a client may cancel
REJECTED = (
    "SELECT orders.uid::text, orders.id FROM orders JOIN order_history ON order_pk = orders.id"
    " WHERE to_status = 'cancelled' AND cause = 'stock.rejected'"
    " AND orders.id IN (SELECT order_pk FROM order_lines WHERE product_id = {marker})"
    " AND orders.id NOT IN (SELECT order_pk FROM order_lines WHERE product_id = {scarce})"
)
REPLICA = "SELECT count(*) AS total FROM customers WHERE email LIKE 'drill-{run}-%'"


@dataclass(frozen=True)
class Checker:
    """Checks one run by what `source` shows.

    Attributes:
        stock: the initial stock of each product of `fixtures`.
        dead: how many messages each dead-letter queue has to hold.
    """

    source: Source
    fixtures: Fixtures
    stock: Mapping[int, int]
    dead: Mapping[str, int]

    def recorded(self, kinds: Iterable[str] = SELECTS) -> Recorded:
        """What the databases hold. Raises StackError if one is unavailable."""
        found: dict[str, list[str]] = defaultdict(list)
        for kind in kinds:
            service, select = SELECTS[kind]
            names = {"run": self.fixtures.run, "marker": self.fixtures.marker}
            for row in self.source.rows(service, select.format(**names)):
                found[row["name"]].append(row["id"])
        return found

    def findings(self, entries: Sequence[Entry]) -> list[Finding]:
        """All that is wrong now. Raises StackError if a database is unavailable."""
        found = compare(entries, self.recorded())
        return [*found, *self._unsettled()]

    def missing(self, entries: Sequence[Entry]) -> list[Finding]:
        """The bills of `entries` that are not recorded, and the orders that are not settled."""
        own = [entry for entry in entries if entry.request.kind in ("bill", "order")]
        lost = compare(own, self.recorded(("bill", "order")))
        ids = ", ".join(i for e in own if e.request.kind == "order" for i in e.ids)
        statuses = saga.placed(self.source, f"id IN ({ids or 'NULL'})")
        open_ones = [order for order in statuses if order.status not in saga.FINAL]
        return lost + [Finding(LOST, o.uid, f"the order {o.id} is {o.status}") for o in open_ones]

    def is_completed(self, order: Entry) -> bool:
        """Whether an order is completed. Raises StackError if orders' database is unavailable."""
        ids = ", ".join(order.ids)
        return [o.status for o in saga.placed(self.source, f"id IN ({ids})")] == ["completed"]

    def _unsettled(self) -> Iterator[Finding]:
        of_run = (
            f"id IN (SELECT order_pk FROM order_lines WHERE product_id = {self.fixtures.marker})"
        )
        yield from saga.findings(self.source, saga.placed(self.source, of_run), self.stock)
        yield from self._wrongly_rejected()
        for service in SERVICES:
            [row] = self.source.rows(service, UNSENT)
            if row["unsent"]:
                words = f"{row['unsent']} messages are unsent in the outbox of {service}"
                yield Finding(LOST, f"outbox of {service}", words)
        [row] = self.source.rows("gateway", UNDELIVERED.format(run=self.fixtures.run))
        if row["undelivered"]:
            yield Finding(LOST, "events", f"{row['undelivered']} events are not delivered")
        yield from self._stale_replica()
        yield from self._dead_letters()
        for orphan in self.source.orphans():
            yield Finding(WRONG, orphan, f"{orphan} runs on without its parent")

    def _wrongly_rejected(self) -> Iterator[Finding]:
        """Orders that were rejected for lack of stock although there was enough."""
        select = REJECTED.format(marker=self.fixtures.marker, scarce=self.fixtures.scarce)
        for row in self.source.rows("orders", select):
            words = f"the order {row['id']} was rejected although the stock sufficed"
            yield Finding(LOST, row["uid"], words)

    def _stale_replica(self) -> Iterator[Finding]:
        """The customer replica of orders, which follows the customers' events."""
        select = REPLICA.format(run=self.fixtures.run)
        customers, replica = (
            self.source.rows(s, select)[0]["total"] for s in ("customers", "orders")
        )
        if customers != replica:
            words = f"orders knows {replica} of {customers} customers"
            yield Finding(LOST if replica < customers else REPEATED, "customers", words)

    def _dead_letters(self) -> Iterator[Finding]:
        depths = self.source.depths()
        for queue, wanted in self.dead.items():
            there = depths.get(queue)
            if there != wanted:
                words = f"{queue} has {there} messages; expected: {wanted}"
                yield Finding(LOST if there is None or there < wanted else WRONG, queue, words)


def dead_letters(source: Source) -> dict[str, int]:
    """The number of messages in each dead-letter queue.

    A broker that has just restarted may say 0 for some seconds: ask another one.
    """
    depths = source.depths().items()
    return {name: depth for name, depth in depths if name.endswith(DEAD_LETTERS)}


def compare(entries: Sequence[Entry], recorded: Recorded) -> list[Finding]:
    """What is wrong with each request: what clients saw against what is recorded."""
    return [
        found for entry in entries for found in _of(entry, recorded.get(entry.request.name, ()))
    ]


def _of(entry: Entry, there: Sequence[str]) -> Iterator[Finding]:
    request, ids = entry.request, sorted(entry.ids)
    what = f"the {request.kind} {request.name}"
    if len(there) > 1:
        yield Finding(REPEATED, request.name, f"{what} is recorded {len(there)} times")
    if len(ids) > 1:
        yield Finding(REPEATED, request.name, f"{what} was accepted as {' and as '.join(ids)}")
    if ids and not there:
        yield Finding(LOST, request.name, f"{what}, accepted as {ids[0]}, is missing")
    elif ids and not set(ids) & set(there):
        words = f"{what}, accepted as {ids[0]}, is recorded as {there[0]}"
        yield Finding(WRONG, request.name, words)


def once(entries: Sequence[Entry], recorded: Recorded) -> int:
    """How many of the accepted requests are recorded exactly once."""
    return sum(
        bool(entry.ids) and len(recorded.get(entry.request.name, ())) == 1 for entry in entries
    )
