"""`/api/events` and `/api/event`: events that other systems put on the bus."""

from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, Response, jsonify
from sqlalchemy import RowMapping

from chassis import jsonb, parsing
from chassis.database import Database
from chassis.paging import page
from chassis.parsing import UUID_KEY
from chassis.validation import validated
from gateway import events
from gateway.schemas import EventKind, EventQuery

MAX_BYTES = 256 * 1024


def event_routes(name: str, database: Database) -> Blueprint:
    """Return the routes of events at `/api/<name>`."""
    routes = Blueprint(name, __name__, url_prefix=f"/api/{name}")

    @routes.post("/<solution>/<model>/<action>")
    def post_event(**names: str) -> tuple[Response, int, dict[str, str]]:
        kind = validated(EventKind, names)
        data = parsing.raw_body(MAX_BYTES)
        jsonb.check(data)
        stored = events.accept(database, events.Kind(**kind.model_dump()), data)
        answer = {
            "event_uid": stored.uid,
            "event_timestamp": _time(stored.event_timestamp),
            "event_data": orjson.Fragment(data),
        }
        return jsonify(answer), 201, {"Location": f"/api/events/{stored.uid}"}

    @routes.get("")
    def list_events() -> Response:
        query = parsing.query(EventQuery)
        names = query.model_dump(include=set(EventKind.model_fields), exclude_none=True)
        events.place(database)
        with database.unit_of_work() as connection:
            found = events.find(
                connection,
                names=names,
                since=query.since,
                delivered=query.delivered,
                after=query.after,
                limit=query.limit + 1,
            )
            return page(map(_shown, found), query.limit)

    @routes.get("/<uid>")
    def get_event(uid: str) -> Response:
        key = parsing.identifier(uid, UUID_KEY, "uid")
        with database.read() as connection:
            return jsonify(_shown(events.get(connection, key)))

    return routes


def _shown(row: RowMapping) -> dict[str, Any]:
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
    """Write a time of UTC with all of its microseconds; an encoder leaves out zeros."""
    return f"{time:%Y-%m-%dT%H:%M:%S.%fZ}"
