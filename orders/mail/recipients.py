"""Addresses of mails whose events have none: from the customer replica, or the customers API."""

import logging
import random
import threading
from datetime import timedelta

from sqlalchemy import Connection

from chassis import trace
from chassis.errors import UnavailableError, UpstreamError
from chassis.http.client import ServiceClient
from chassis.storage.database import Database
from orders.customer_replica import api as customers_api
from orders.customer_replica import table as replica
from orders.customer_replica.schemas import CustomerData
from orders.mail import claims
from orders.mail.claims import Mail
from orders.mail.worker_loop import retry_wait

LEASE = timedelta(seconds=15)
"""Longer than a call of the customers API and the two transactions around it."""
logger = logging.getLogger(__name__)


class RecipientLookup:
    """Finds the addresses of mails that have none."""

    def __init__(self, database: Database, client: ServiceClient, wake: threading.Event) -> None:
        """Prepare a lookup.

        Args:
            database: has the mails and the customer replica.
            client: of the customers API.
            wake: set when a mail has got its address.
        """
        self._database = database
        self._client = client
        self._wake = wake

    def work(self) -> bool:
        """Claim a mail and find its address, or defer it; False if there is none to claim.

        No transaction is open while the customers API is asked.
        """
        with self._database.transaction() as connection:
            claimed = claims.claim(connection, LEASE, "unaddressed")
            known = [replica.find(connection, mail.customer_id) for mail in claimed]
        if not claimed:
            return False
        [mail], [entry] = claimed, known
        with trace.within(trace.continued(mail.headers)):
            self._settle(mail, is_known=entry is not None)
        self._wake.set()
        return True

    def _settle(self, mail: Mail, is_known: bool) -> None:
        try:
            answer = None if is_known else customers_api.ask(self._client, mail.customer_id)
        except (UnavailableError, UpstreamError) as error:
            with self._database.autocommit() as connection:
                claims.defer(
                    connection, mail, str(error), retry_wait(mail.attempts, random.random())
                )
            logger.warning("address lookup deferred", extra=_extra(mail, str(error)))
            return
        with self._database.transaction() as connection:
            self._record(connection, mail, answer)

    def _record(self, connection: Connection, mail: Mail, answer: CustomerData | None) -> None:
        """Record the answer, unless an event that has arrived meanwhile is newer."""
        # the customer before the order, as the deletion of a customer does, or both may deadlock
        if answer is not None:
            replica.insert_if_absent(connection, answer)
        if not claims.lock(connection, [mail]):
            logger.info("another worker has taken the mail", extra=_extra(mail))
            return
        recipient = replica.email_of(connection, mail.customer_id)
        if recipient is not None:
            claims.set_recipient(connection, mail, recipient)
        elif claims.mark_unknown(connection, mail):
            logger.warning("no mail: there is no such customer", extra=_extra(mail))


def _extra(mail: Mail, reason: str | None = None) -> dict[str, str]:
    extra = {"order_id": mail.order_id, "customer_id": mail.customer_id}
    return extra if reason is None else extra | {"reason": reason}
