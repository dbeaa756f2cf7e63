"""`/api/events` and `/api/event`: events that other systems publish through the gateway."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson
from flask import Blueprint, Response, jsonify
from sqlalchemy import Connection

from chassis.http import idempotency
from chassis.http import request as parsing
from chassis.http.paging import page
from chassis.http.request import UUID_KEY
from chassis.schema.validation import validated
from chassis.storage.database import Database
from gateway import client_events, jsonb
from gateway.schemas import EventKind, EventQuery

MAX_BYTES = 256 * 1024


def event_routes(name: str, database: Database) -> Blueprint:
    """Return the routes of events at `/api/<name>`."""
    routes = Blueprint(name, __name__, url_prefix=f"/api/{name}")

    @routes.post("/<solution>/<model>/<action>")
    def post_event(**names: str) -> Response:
        kind = validated(EventKind, names)
        data = parsing.raw_body(MAX_BYTES)
        jsonb.check(data)
        uid = idempotency.message_id() or uuid4()

        def store_answer(connection: Connection, stored: client_events.Stored) -> None:
            idempotency.store_answer(connection, _stored(stored, data))

        names_of = client_events.Kind(**kind.model_dump())
        return _stored(client_events.accept(database, names_of, data, uid, store_answer), data)

    @routes.get("")
    def list_events() -> Response:
        query = parsing.query(EventQuery)
        names = query.model_dump(include=set(EventKind.model_fields), exclude_none=True)
        client_events.assign_positions(database)
        with (
            database.transaction() as connection,
            client_events.find(
                connection,
                names=names,
                since=query.since,
                delivered=query.delivered,
                after=query.after,
                limit=query.limit + 1,
            ) as found,
        ):
            return page(map(_shown, found), query.limit)

    @routes.get("/<uid>")
    def get_event(uid: str) -> Response:
        key = parsing.identifier(uid, UUID_KEY, "uid")
        with database.autocommit() as connection:
            return jsonify(_shown(client_events.get(connection, key)))

    return routes


def _stored(stored: client_events.Stored, data: bytes) -> Response:
    response = jsonify(
        event_uid=stored.uid,
        event_timestamp=_time(stored.event_timestamp),
        event_data=orjson.Fragment(data),
    )
    response.status_code = 201
    response.headers["Location"] = f"/api/events/{stored.uid}"
    return response


def _shown(row: client_events.StoredEvent) -> dict[str, Any]:
    return {
        "id": row["id"],
        "event_uid": row["uid"],
        "solution": row["solution"],
        "model": row["model"],
        "action": row["action"],
        "event_timestamp": _time(row["event_timestamp"]),
        "event_data": orjson.Fragment(row["data"]),
        "attempts": row["attempts"],
        "delivered_at": row["delivered_at"] and _time(row["delivered_at"]),
    }


def _time(time: datetime) -> str:
    """Format a UTC time with all six digits of its microseconds; the JSON encoder drops zeros."""
    return f"{time:%Y-%m-%dT%H:%M:%S.%fZ}"
