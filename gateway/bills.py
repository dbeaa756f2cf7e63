"""Accepting bills: one is safe once the broker has confirmed it, or the outbox holds it.

schemas.py validates a bill here, billing/schemas.py again when it is recorded.
"""

import logging
from dataclasses import dataclass

from chassis.errors import BrokerUnavailableError
from chassis.messaging.message import Message, MessagePublisher
from chassis.outbox import table as outbox
from chassis.storage.database import Database

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BillIntake:
    """Accepts bills for the queue."""

    publisher: MessagePublisher
    database: Database

    def accept(self, message: Message) -> str:
        """Store a message safely; return where: `queue` or `outbox`.

        Raises:
            sqlalchemy.exc.OperationalError: neither broker nor database has stored it.
        """
        try:
            self.publisher.publish(message)
        except BrokerUnavailableError as error:
            self._store(message)
            extra = {"message_id": message.id, "reason": str(error)}
            logger.warning("bill stored in the outbox", extra=extra)
            return "outbox"
        logger.info("bill queued", extra={"message_id": message.id})
        return "queue"

    def _store(self, message: Message) -> None:
        with self.database.transaction() as connection:
            outbox.add(connection, message)
