"""The reads of `/api/billing`; the gateway accepts the POSTs."""

from flask import Blueprint, Response, jsonify

from billing import bills
from billing.schemas import MESSAGE_ID, BillQuery
from chassis.http import access_log
from chassis.http import request as parsing
from chassis.http.paging import page
from chassis.storage.database import Database


def bill_routes(database: Database) -> Blueprint:
    """Return the routes of bills."""
    routes = Blueprint("bills", __name__, url_prefix="/api/billing")

    @routes.get("")
    def list_bills() -> Response:
        access_log.skip_if_watched()
        query = parsing.query(BillQuery)
        with database.autocommit() as connection:
            found = bills.find(
                connection,
                user_id=query.user_id,
                order_id=query.order_id,
                after=query.after,
                limit=query.limit + 1,
            )
        return page(found, query.limit)

    @routes.get("/<bill_id>")
    def get_bill(bill_id: str) -> Response:
        key = parsing.identifier(bill_id, MESSAGE_ID)
        with database.autocommit() as connection:
            return jsonify(bills.get(connection, key))

    return routes
