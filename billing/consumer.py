"""billing-consumer: from billing_queue into billing_db, each message id once."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from werkzeug.exceptions import BadRequest

from billing import bills
from billing.schemas import BillMessage
from billing.settings import Settings
from chassis import database, parsing, trace, worker
from chassis.broker import Queue, dead_letter_queue
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.delivery import Delivery, RejectedError
from chassis.errors import InvalidError
from chassis.trace import Trace

PROCESS = "billing-consumer"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReceivedBill:
    """A bill that came in a message."""

    message_id: str
    bill: BillMessage
    trace: Trace

    @property
    def row(self) -> dict[str, Any]:
        """The bill as a row of its table."""
        return {"message_id": self.message_id, **self.bill.model_dump()}


class BillHandler:
    """Records bills."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def parse(self, delivery: Delivery) -> ReceivedBill:
        """Read a bill; a message that another client published without an id gets one.

        Raises:
            RejectedError: it is no bill.
        """
        try:
            bill = parsing.validated(BillMessage, parsing.decoded(delivery.body))
        except BadRequest as error:
            raise RejectedError(str(error.description)) from None
        except InvalidError as error:
            raise RejectedError(str(error)) from None
        message_id = delivery.properties.message_id or str(uuid4())
        return ReceivedBill(message_id, bill, trace.continued(delivery.headers))

    def apply(self, items: Sequence[ReceivedBill]) -> None:
        """Insert the bills that are not there yet, in one transaction."""
        with self._database.unit_of_work() as connection:
            new = bills.record(connection, [item.row for item in items])
            connection.commit()
        for item in items:
            _log(item, item.message_id in new)
            new.discard(item.message_id)

    def is_outage(self, error: Exception) -> bool:
        """A database that is away, or not as it should be, is no message's fault."""
        return database.is_outage(error)


def _log(item: ReceivedBill, new: bool) -> None:
    extra = {
        "message_id": item.message_id,
        "user_id": item.bill.user_id,
        "number_of_items": item.bill.number_of_items,
        "total_amount": str(item.bill.total_amount),
    }
    with trace.within(item.trace):
        logger.info("bill recorded" if new else "bill was recorded before", extra=extra)


def run(settings: Settings, stop: threading.Event) -> None:
    """Consume billing_queue until `stop` is set."""
    db = Database(settings.database, connections=1)
    queue = settings.broker.queue
    topology = [Queue(queue), Queue(dead_letter_queue(queue))]
    consumer = Consumer(settings.broker, PROCESS, topology, BillHandler(db), stop)
    ready = Database(settings.database, connections=1)
    worker.serve_health(PROCESS, [ready, consumer], settings.server, settings.consumer_port)
    consumer.run()
    db.close()
