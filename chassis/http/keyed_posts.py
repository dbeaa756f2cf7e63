"""Adds the Idempotency-Key to every POST route of a service, so that none is forgotten.

`chassis.http.idempotency` applies the keys.
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
    """Where a service stores its keys, and what distinguishes them.

    Attributes:
        database: the database of the keys.
        names: aliases of collections, with the name whose keys they share.
        scope: returns the owner of the request's key.
    """

    database: Database
    names: Mapping[str, str] = field(default_factory=dict)
    scope: Callable[[], str] = caller_scope

    def init_app(self, app: Flask) -> None:
        """Apply keys on every POST route under `/api`; routes for any method forward them."""
        for endpoint in post_endpoints(app):
            app.view_functions[endpoint] = self._keyed(app.view_functions[endpoint])

    def _keyed(self, view: Callable[..., Any]) -> Callable[..., Response]:
        @wraps(view)
        def keyed(**path: str) -> Response:
            act: Callable[[], Response] = lambda: current_app.make_response(view(**path))  # noqa: E731
            if not idempotency.is_requested():
                return act()
            key = idempotency.requested(self.scope(), self._route(path))
            return idempotency.answer(self.database, key, act)

        return keyed

    def _route(self, path: Mapping[str, str]) -> str:
        """Return what is posted to: the route by its canonical name, and its path parameters."""
        rule = str(request.url_rule)
        name, slash, rest = rule.removeprefix(_PREFIX).partition("/")
        route = f"POST {_PREFIX}{self.names.get(name, name)}{slash}{rest}"
        # a hash, as a path may be long and contain anything
        return f"{route} {_hash(path)}" if path else route


def post_endpoints(app: Flask) -> set[str]:
    """Return the endpoints of `app` under `/api` that are for POST alone."""
    rules = (rule for rule in app.url_map.iter_rules() if rule.rule.startswith(_PREFIX))
    return {rule.endpoint for rule in rules if rule.methods and "POST" in rule.methods}


def _hash(path: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(path, sort_keys=True).encode()).hexdigest()
