"""Every POST of a service takes an Idempotency-Key: no route can be forgotten.

What a key does, `chassis.http.idempotency` says.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from flask import Flask, Response, current_app, request

from chassis.http import idempotency
from chassis.http.request import caller_scope
from chassis.storage.database import Database

_PREFIX = "/api/"


@dataclass(frozen=True)
class KeyedPosts:
    """Where a service keeps its keys, and what keys are told apart by.

    Attributes:
        database: that of the keys.
        names: other names of collections, with the name whose keys they share.
        scope: says whose key the request's is.
    """

    database: Database
    names: Mapping[str, str] = field(default_factory=dict)
    scope: Callable[[], str] = caller_scope

    def init_app(self, app: Flask) -> None:
        """Have every POST route under `/api` take a key; routes for any method pass it on."""
        for endpoint in post_endpoints(app):
            app.view_functions[endpoint] = self._keyed(app.view_functions[endpoint])

    def _keyed(self, view: Callable[..., Any]) -> Callable[..., Response]:
        @wraps(view)
        def keyed(**path: str) -> Response:
            key = idempotency.requested(self.scope(), self._route(path))
            act = lambda: current_app.make_response(view(**path))  # noqa: E731
            return idempotency.answer(self.database, key, act)

        return keyed

    def _route(self, path: Mapping[str, str]) -> str:
        """Name what is posted to: the route by its first name, and what stands in its path."""
        rule = str(request.url_rule)
        name, slash, rest = rule.removeprefix(_PREFIX).partition("/")
        route = f"POST {_PREFIX}{self.names.get(name, name)}{slash}{rest}"
        # a hash, for a path may be long and hold anything
        return f"{route} {_hash(path)}" if path else route


def post_endpoints(app: Flask) -> set[str]:
    """Return the endpoints of `app` under `/api` that are for POST alone."""
    rules = (rule for rule in app.url_map.iter_rules() if rule.rule.startswith(_PREFIX))
    return {rule.endpoint for rule in rules if rule.methods and "POST" in rule.methods}


def _hash(path: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(path, sort_keys=True).encode()).hexdigest()
