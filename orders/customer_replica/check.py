"""Whether the customer of an order is known: to the copy of the customers, or to their API."""

import logging
from dataclasses import dataclass
from typing import Literal

from chassis.errors import UnavailableError, UpstreamError
from chassis.http.client import ServiceClient
from chassis.storage.database import Database
from orders.customer_replica import api as directory_api
from orders.customer_replica import table as directory

Standing = Literal["known", "unknown", "unchecked"]
"""Of a customer; `unchecked` if the copy has no row of them, and their API can't be asked."""
SECONDS = 0.5
"""How long the customers API may take: an order waits for it, and does not depend on it."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CustomerCheck:
    """Tells whether customers are known.

    Attributes:
        database: where the copy of the customers is.
        client: of the customers API, with `SECONDS` for a call.
    """

    database: Database
    client: ServiceClient

    def standing(self, customer_id: str) -> Standing:
        """Tell whether a customer is known; a deleted one is not.

        Text that is no id of a customer is unknown, and nobody is asked. The API is asked only for
        who is not in the copy, while no transaction is open.
        """
        if directory.key(customer_id) is None:
            return "unknown"
        with self.database.read() as connection:
            entry = directory.find(connection, customer_id)
        if entry is not None:
            return "unknown" if entry.forgotten else "known"
        try:
            return "known" if directory_api.ask(self.client, customer_id) else "unknown"
        except (UnavailableError, UpstreamError) as error:
            extra = {"customer_id": customer_id, "reason": str(error)}
            logger.warning("the customer of an order is not checked", extra=extra)
            return "unchecked"
