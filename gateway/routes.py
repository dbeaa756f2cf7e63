"""The gateway's routes: bills and details of orders are its own, all others are forwarded."""

from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import Rule

from chassis import trace
from chassis.http import idempotency
from chassis.http import request as parsing
from chassis.http.answer import Answer
from chassis.messaging.message import Message
from chassis.schema.decoding import decode
from chassis.schema.validation import validated
from gateway.auth import guard as auth
from gateway.auth.guard import Guard
from gateway.bills import BillIntake
from gateway.cache.cached_proxy import Forwarder
from gateway.order_details import PARTS, OrderDetails
from gateway.proxy import Proxy, upstream_response
from gateway.schemas import NewBill

# paths under /api/orders that are no order ids; "details" behind one may itself be an id
_NOT_ORDER_IDS = ("customer", "order", "stats", "status")


def proxy_routes(name: str, proxy: Forwarder) -> Blueprint:
    """Return routes that forward every request at and below `/api/<name>`."""
    routes = Blueprint(name, __name__, url_prefix=f"/api/{name}")
    _any_method(routes, "", "collection", proxy.forward)
    _any_method(routes, "/<path:rest>", "resource", lambda rest: proxy.forward())
    return routes


def detail_routes(name: str, details: OrderDetails, guard: Guard, proxy: Proxy) -> Blueprint:
    """Return the route `/api/<name>/ID/details`, which orders-api does not have.

    A caller who may read orders may not read everything: `guard` decides which parts are shown.
    """
    routes = Blueprint(f"{name}_details", __name__, url_prefix=f"/api/{name}")

    @routes.get("/<order_id>/details", provide_automatic_options=False)
    def get_details(order_id: str) -> Response:
        if order_id in _NOT_ORDER_IDS:
            return proxy.forward()
        permitted = guard.permitted(PARTS.values())
        parts = {part for part, of_class in PARTS.items() if of_class in permitted}
        found = details.fetch(order_id, auth.caller(), parts)
        return upstream_response(found) if isinstance(found, Answer) else jsonify(found)

    _any_method(routes, "/<order_id>/details", "not_allowed", _read_only)
    return routes


def _read_only(order_id: str) -> Response:
    allowed = ["GET", "HEAD", "OPTIONS"]
    if request.method == "OPTIONS":
        return Response(headers={"Allow": ", ".join(allowed)})
    raise MethodNotAllowed(allowed)


def bill_routes(intake: BillIntake, queue: str, proxy: Proxy) -> Blueprint:
    """Return the routes of `/api/billing`: POST is answered here, reads are forwarded."""
    routes = Blueprint("billing", __name__, url_prefix="/api/billing")

    @routes.post("")
    def post_bill() -> Response:
        body = parsing.raw_body()
        validated(NewBill, decode(body))
        message = _message(body, queue)
        stored_in = intake.accept(message)
        response = jsonify(message="Message posted", id=message.id, stored_in=stored_in)
        response.status_code = 202
        response.headers["Location"] = f"/api/billing/{message.id}"
        return response

    @routes.get("")
    def list_bills() -> Response:
        return proxy.forward()

    _any_method(routes, "/<path:rest>", "bill", lambda rest: proxy.forward())
    return routes


def _message(body: bytes, queue: str) -> Message:
    """Build the message: the JSON object as posted, with id and trace in its properties."""
    current, id = trace.current(), idempotency.message_id()
    headers = current.headers if current else {}
    if id is None:
        return Message(body, queue, headers=headers)
    return Message(body, queue, headers=headers, id=str(id))


def _any_method(routes: Blueprint, path: str, name: str, view: Callable[..., Response]) -> None:
    """Add a route for every method: the upstream knows which of them exist."""

    def add(state: BlueprintSetupState) -> None:
        endpoint = f"{routes.name}.{name}"
        state.app.url_map.add(Rule(f"{state.url_prefix}{path}", endpoint=endpoint))
        state.app.view_functions[endpoint] = view

    routes.record(add)
