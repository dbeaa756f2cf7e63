"""The messages that request once more what an order waits for."""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection

from chassis import trace
from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from orders.allowed_transitions import event_of
from orders.customer_replica.table import email_of
from orders.events import aggregate, order_event
from orders.queries import OrderFacts
from orders.saga import SOURCE, bill
from orders.sweeping.needs import Needs

_INVENTORY, _BILLING, _MAIL = "inventory_inbox", "billing_inbox", "mail_inbox"


def enqueue(
    connection: Connection, order: OrderFacts, needs: Needs, request_id: str | None
) -> None:
    """Put the messages into the outbox, with new ids, each for the queue of who owes the answer.

    Args:
        connection: in a transaction that has locked the order.
        order: its current state, or the one in which it was deleted.
        needs: what it waits for.
        request_id: of the request that made the order; the repetition belongs to the same trace.
    """
    with trace.within(trace.continued({"X-Request-ID": request_id or ""})):
        for message in _messages(connection, order, needs):
            outbox.add(connection, message, aggregate(order))


def _messages(connection: Connection, order: OrderFacts, needs: Needs) -> Iterator[Message]:
    email = email_of(connection, order["customer_id"])

    def event(type: str, queue: str, order: OrderFacts = order) -> Message:
        made = order_event(type, order, SOURCE, email)
        return replace(made, exchange="", routing_key=queue, mandatory=True)

    if needs.step:
        created = order["status"] == "pending"
        yield event("order.created", _INVENTORY) if created else bill(order)
    if needs.stock:
        yield event(event_of(order["status"]), _INVENTORY)
    if needs.bill:
        yield event("order.cancelled", _BILLING)
    for step in needs.mails:
        new: OrderFacts = {**order, "status": "pending", "reason": None}
        yield event(event_of(step), _MAIL, new if step == "created" else order)
