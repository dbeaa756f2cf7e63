"""Orders do not wait behind what others have caused, however much that is."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.stack.orders import Orders
from tools.stack import backlog
from tools.stack.stack import Stack

CLIENTS = 100_000
_EVENTS = (
    "INSERT INTO outbox (message_id, exchange, routing_key, content_type, mandatory, headers, body)"
    " SELECT 'fairness-' || n, %s, %s, 'application/cloudevents+json', false, '{}', '{}'"
    " FROM generate_series(1, %s) AS n"
)


@contextmanager
def events_of_others(orders: Orders, service: str, exchange: str, key: str) -> Iterator[None]:
    """Have very many events wait in a service's outbox, of which no order waits for one."""
    orders.query(service, _EVENTS, exchange, key, CLIENTS)
    try:
        yield
    finally:
        orders.query(service, "DELETE FROM outbox WHERE message_id LIKE %s", "fairness-%")


def test_an_order_is_completed_while_the_events_of_very_many_others_wait(
    stack: Stack, orders: Orders
) -> None:
    product = orders.make_product(5)
    orders.wait_until_settled()
    with (
        events_of_others(orders, "billing", "billing_events", "bill.recorded"),
        events_of_others(orders, "inventory", "inventory_events", "movie.deleted"),
        events_of_others(orders, "orders", "order_events", "fairness.created"),
    ):
        order = orders.place((product, 2))
        orders.wait_for_status(order, "completed", seconds=60)
        left = {name: backlog.unsent(stack, name) for name in ("billing", "inventory", "orders")}
    assert min(left.values()) > 1000, left
    orders.wait_until_settled()
