"""What the gateway answers: bills and details of orders itself, all else by passing it on."""

from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import Rule

from chassis import trace
from chassis.http import idempotency
from chassis.http import request as parsing
from chassis.http.upstream import Answer
from chassis.messaging.message import Message
from gateway.auth import guard as auth
from gateway.auth.guard import Guard
from gateway.bills import BillDesk
from gateway.order_details import PARTS, OrderDetails
from gateway.proxy import Proxy, passed_back
from gateway.schemas import NewBill

# under /api/orders, what is no order: "details" may be an id behind it, or there is nothing there
_NO_ORDERS = ("customer", "order", "stats", "status")


def passed_on(name: str, proxy: Proxy) -> Blueprint:
    """Return routes that pass every request at `/api/<name>` and under it on."""
    routes = Blueprint(name, __name__, url_prefix=f"/api/{name}")
    _any_method(routes, "", "collection", proxy.forward)
    _any_method(routes, "/<path:rest>", "resource", lambda rest: proxy.forward())
    return routes


def detail_routes(name: str, details: OrderDetails, guard: Guard, proxy: Proxy) -> Blueprint:
    """Return `/api/<name>/ID/details`, put together here; orders knows nothing of it.

    Who may read orders may not read everything: what else is shown, `guard` decides.
    """
    routes = Blueprint(f"{name}_details", __name__, url_prefix=f"/api/{name}")

    @routes.get("/<order_id>/details", provide_automatic_options=False)
    def get_details(order_id: str) -> Response:
        if order_id in _NO_ORDERS:
            return proxy.forward()
        permitted = guard.permitted(PARTS.values())
        parts = {part for part, of_class in PARTS.items() if of_class in permitted}
        found = details.fetch(order_id, auth.caller(), parts)
        return passed_back(found) if isinstance(found, Answer) else jsonify(found)

    _any_method(routes, "/<order_id>/details", "not_read", _only_read)
    return routes


def _only_read(order_id: str) -> Response:
    allowed = ["GET", "HEAD", "OPTIONS"]
    if request.method == "OPTIONS":
        return Response(headers={"Allow": ", ".join(allowed)})
    raise MethodNotAllowed(allowed)


def bill_routes(desk: BillDesk, queue: str, proxy: Proxy) -> Blueprint:
    """Return `/api/billing`: POST is taken here, reading is billing-api's."""
    routes = Blueprint("billing", __name__, url_prefix="/api/billing")

    @routes.post("")
    def post_bill() -> Response:
        parsing.body(NewBill)
        message = _message(queue)
        place = desk.take(message)
        response = jsonify(message="Message posted", id=message.id, stored_in=place)
        response.status_code = 202
        response.headers["Location"] = f"/api/billing/{message.id}"
        return response

    @routes.get("")
    def list_bills() -> Response:
        return proxy.forward()

    _any_method(routes, "/<path:rest>", "bill", lambda rest: proxy.forward())
    return routes


def _message(queue: str) -> Message:
    """Make the message: the JSON object as posted, and the ids in its properties."""
    body, current, id = parsing.raw_body(), trace.current(), idempotency.message_id()
    headers = current.headers if current else {}
    if id is None:
        return Message(body, queue, headers=headers)
    return Message(body, queue, headers=headers, id=str(id))


def _any_method(routes: Blueprint, path: str, name: str, view: Callable[..., Response]) -> None:
    """Add a route for every method there is: which of them exist, the upstream knows."""

    def add(state: BlueprintSetupState) -> None:
        endpoint = f"{routes.name}.{name}"
        state.app.url_map.add(Rule(f"{state.url_prefix}{path}", endpoint=endpoint))
        state.app.view_functions[endpoint] = view

    routes.record(add)
