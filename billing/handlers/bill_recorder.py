"""The handler of bills, those of clients and those of orders: records and announces each."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from billing import bills
from billing.bills import Bill
from billing.events import bill_recorded, copy_for_orders
from billing.schemas import BillMessage
from chassis import trace
from chassis.errors import InvalidError, MalformedJsonError
from chassis.messaging.delivery import Delivery, RejectedError
from chassis.messaging.message import Message
from chassis.messaging.short_strings import is_text
from chassis.outbox import table as outbox
from chassis.random_ids import random_id
from chassis.schema.decoding import decode
from chassis.schema.validation import validated
from chassis.storage import database
from chassis.storage.database import Database
from chassis.trace import Trace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReceivedBill:
    """A bill received in a message."""

    message_id: str
    bill: BillMessage
    trace: Trace

    @property
    def row(self) -> dict[str, Any]:
        """The bill as a row of its table."""
        return {"message_id": self.message_id, **vars(self.bill)}


class BillHandler:
    """Records bills, and puts an event for each into the outbox."""

    def __init__(self, database: Database, *, of_orders: bool = False) -> None:
        """Prepare a handler.

        Args:
            database: `billing_db`.
            of_orders: whether orders has requested the bills, and gets a copy of each event; again,
                if it repeats the request, since it has missed the first copy.
        """
        self._database = database
        self._of_orders = of_orders

    def parse(self, delivery: Delivery) -> ReceivedBill:
        """Read a bill; a message that another client published without an id gets one.

        Raises:
            RejectedError: the message is no bill.
        """
        try:
            bill = validated(BillMessage, decode(delivery.body))
        except MalformedJsonError as error:
            raise RejectedError(f"The body {error}.") from None
        except InvalidError as error:
            raise RejectedError(str(error)) from None
        message_id = delivery.message_id or random_id()
        if not is_text(message_id):
            raise RejectedError("The message_id must be UTF-8 text without NUL.")
        return ReceivedBill(message_id, bill, trace.continued(delivery.headers))

    def aggregate(self, item: ReceivedBill) -> str:
        """Return the aggregate of a bill: the bill itself."""
        return item.message_id

    def apply(self, items: Sequence[ReceivedBill], lock_seconds: float | None = None) -> None:
        """Insert the new bills and their events in one transaction."""
        # the first of duplicates in this batch
        first: dict[str, ReceivedBill] = {}
        for item in items:
            first.setdefault(item.message_id, item)
        with self._database.transaction(lock_seconds) as connection:
            recorded = bills.record(connection, [item.row for item in first.values()])
            events = [_event(first[bill["id"]], bill) for bill in recorded]
            if self._of_orders:
                missed = _recorded_before(connection, first.keys(), recorded)
                answers = [*events, *(_event(first[bill["id"]], bill) for bill in missed)]
                events += map(copy_for_orders, answers)
            outbox.add_all(connection, events)
        new = {bill["id"]: bill for bill in recorded}
        for item in items:
            _log(item, new.pop(item.message_id, None))

    def check(self) -> None:
        """Raise an error if the database does not answer."""
        self._database.check()

    def is_outage(self, error: Exception) -> bool:
        """Return whether the database, and no message, has caused the error."""
        return database.is_outage(error)


def _recorded_before(
    connection: Connection, message_ids: Iterable[str], new: Sequence[Bill]
) -> Sequence[Bill]:
    recorded_now = {bill["id"] for bill in new}
    earlier = [message_id for message_id in message_ids if message_id not in recorded_now]
    return bills.recorded(connection, earlier) if earlier else []


def _event(item: ReceivedBill, bill: Bill) -> Message:
    with trace.within(item.trace):
        return bill_recorded(bill)


def _log(item: ReceivedBill, recorded: Bill | None) -> None:
    extra = {
        "message_id": item.message_id,
        "user_id": item.bill.user_id,
        "number_of_items": item.bill.number_of_items,
        "total_amount": str(item.bill.total_amount),
    }
    with trace.within(item.trace):
        logger.info(_outcome(recorded), extra=extra)


def _outcome(recorded: Bill | None) -> str:
    if recorded is None:
        return "bill was recorded before"
    return "bill recorded" if recorded["voided_at"] is None else "bill recorded as void"
