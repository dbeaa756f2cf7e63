"""Where a mail goes to, if its event does not say: the copy knows, or the customers API."""

import logging
import threading

from sqlalchemy import Connection

from chassis import trace
from chassis.database import Database
from chassis.errors import UnavailableError, UpstreamError
from chassis.service_client import ServiceClient
from orders import directory, directory_api, mails
from orders.mail_loop import pause
from orders.mails import Mail

logger = logging.getLogger(__name__)


class Addressing:
    """Finds the addresses of mails that have none."""

    def __init__(self, database: Database, client: ServiceClient, wake: threading.Event) -> None:
        """Prepare it.

        Args:
            database: where the mails are, and the copy of the customers.
            client: of the customers API.
            wake: set when a mail can be sent.
        """
        self._database = database
        self._client = client
        self._wake = wake

    def work(self) -> bool:
        """Take one mail and find its address, or put it off; False if there is none to take."""
        with self._database.unit_of_work() as connection:
            mail = mails.take_unaddressed(connection)
            if mail is None:
                return False
            with trace.within(trace.continued(mail.headers)):
                self._settle(connection, mail)
            connection.commit()
        self._wake.set()
        return True

    def _settle(self, connection: Connection, mail: Mail) -> None:
        try:
            recipient = self._recipient(connection, mail.customer_id)
        except (UnavailableError, UpstreamError) as error:
            mails.put_off(connection, mail, str(error), pause(mail.attempts))
            logger.warning("the address is asked for later", extra=_extra(mail, str(error)))
            return
        if recipient is not None:
            mails.address(connection, mail, recipient)
        elif mails.mark_unknown(connection, mail):
            logger.warning("no mail: there is no such customer", extra=_extra(mail))

    def _recipient(self, connection: Connection, customer_id: str) -> str | None:
        known = directory.find(connection, customer_id)
        if known is not None:
            return known.email
        customer = directory_api.ask(self._client, customer_id)
        if customer is None:
            return None
        directory.learn(connection, customer)
        return customer.email


def _extra(mail: Mail, reason: str | None = None) -> dict[str, str]:
    extra = {"order_id": mail.order.order_id, "customer_id": mail.customer_id}
    return extra if reason is None else extra | {"reason": reason}
