"""Whether the customer of an order is known, to the replica or to the customers API."""

import logging
from dataclasses import dataclass
from typing import Literal

from chassis.errors import UnavailableError, UpstreamError
from chassis.http.client import ServiceClient
from chassis.storage.database import Database
from orders.customer_replica import api, table

Standing = Literal["known", "unknown", "unchecked"]
"""`unchecked`: the replica has no row of the customer, and the customers API is unavailable."""
SECONDS = 0.5
"""Limit of a call of the customers API: an order waits for it, but does not depend on it."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CustomerCheck:
    """Checks whether customers are known.

    Attributes:
        database: has the customer replica.
        client: of the customers API, with `SECONDS` for a call.
    """

    database: Database
    client: ServiceClient

    def standing(self, customer_id: str) -> Standing:
        """Return whether a customer is known; a deleted one is not.

        Text that is no customer id is unknown without a call. The API is asked only if the replica
        has no row, and while no transaction is open.
        """
        if table.key(customer_id) is None:
            return "unknown"
        with self.database.autocommit() as connection:
            entry = table.find(connection, customer_id)
        if entry is not None:
            return "unknown" if entry.deleted else "known"
        try:
            return "known" if api.ask(self.client, customer_id) else "unknown"
        except (UnavailableError, UpstreamError) as error:
            extra = {"customer_id": customer_id, "reason": str(error)}
            logger.warning("the customer of an order is not checked", extra=extra)
            return "unchecked"
