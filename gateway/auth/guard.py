"""Access control: `Authorization: Bearer TOKEN` for the classes that `AUTH_PROTECTED` names.

Source: RFC 6750 (Bearer tokens), RFC 9110, section 11 (challenges).
"""

import logging
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException

from chassis.errors import first_line
from chassis.http import caller as identity
from chassis.http import context
from chassis.http.caller import ANONYMOUS
from chassis.storage.database import is_outage
from gateway.auth import scopes
from gateway.auth.tokens import Holder, Tokens
from gateway.edge.rate_limit import Limiter

REALM = "crud-master"
PLATFORM = "platform"
"""The class of the platform's own state and metrics."""
logger = logging.getLogger(__name__)
_REFUSED = (401, 403)
_CREDENTIALS = re.compile(r"bearer +([\x21-\x7e]+)", re.ASCII | re.IGNORECASE)


class ChallengeError(HTTPException):
    """The request is refused; `WWW-Authenticate` names what is missing."""

    def __init__(self, status: HTTPStatus, detail: str, **parameters: str) -> None:
        super().__init__(detail)
        self.code = status.value
        self._parameters = {"realm": REALM, **parameters}

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Add the challenge, with its parameters quoted as in RFC 6750."""
        challenge = ", ".join(f'{name}="{value}"' for name, value in self._parameters.items())
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", f"Bearer {challenge}")]


class Guard:
    """Protects routes: limits all, and requires a token where the class is protected."""

    def __init__(self, protected: Iterable[str], tokens: Tokens, limiter: Limiter) -> None:
        self._protected = frozenset(protected)
        self._tokens = tokens
        self._limiter = limiter

    def protect(self, resource_class: str, routes: Blueprint) -> Blueprint:
        """Return `routes`, limited, and with a required token if their class is protected.

        The limit comes first, so that it also slows the guessing of tokens.
        """
        self._limiter.limit(resource_class, routes)
        if resource_class in self._protected:
            routes.before_request(lambda: self._admit(resource_class))
        return routes

    def permitted(self, classes: Iterable[str]) -> set[str]:
        """Return which of `classes` the current request may read; for answers that show parts."""
        asked = set(classes)
        protected = asked & self._protected
        g.depends_on_token = bool(protected)
        return (asked - protected) | (self._readable(protected) if protected else set())

    def shows_platform(self) -> bool:
        """Return whether the current request may see the details of the platform's state."""
        return bool(self.permitted([PLATFORM]))

    def _readable(self, protected: Iterable[str]) -> set[str]:
        try:
            held = (g.get("holder") or self._holder()).scopes
        except ChallengeError:
            return set()
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("a token can't be looked up", extra={"reason": first_line(error)})
            return set()
        return {name for name in protected if scopes.needed(name, "GET") in held}

    def _admit(self, resource_class: str) -> None:
        """Admit the request and note its caller.

        Raises:
            ChallengeError: the token is missing, invalid, or lacks the scope.
            sqlalchemy.exc.OperationalError: the token can't be looked up.
        """
        if request.method == "OPTIONS":
            return
        holder = self._holder()
        scope = scopes.needed(resource_class, request.method)
        if scope not in holder.scopes:
            detail = f"The token {holder.name} lacks the scope {scope}."
            parameters = {"error": "insufficient_scope", "scope": scope}
            raise ChallengeError(HTTPStatus.FORBIDDEN, detail, **parameters)
        g.holder = holder

    def _holder(self) -> Holder:
        token = _presented()
        holder = None if token is None else self._tokens.holder(token)
        if holder is None:
            detail = "The token is malformed, unknown, expired or revoked."
            raise ChallengeError(HTTPStatus.UNAUTHORIZED, detail, error="invalid_token")
        return holder


def _presented() -> str | None:
    """Return the request's token; None if it is malformed.

    Raises:
        ChallengeError: there is none; credentials of another scheme count as none.
    """
    header = request.headers.get("Authorization", "")
    if header.split(" ")[0].lower() != "bearer":
        detail = "This needs a token: send the header Authorization: Bearer TOKEN."
        raise ChallengeError(HTTPStatus.UNAUTHORIZED, detail)
    credentials = _CREDENTIALS.fullmatch(header.strip(" "))
    return credentials and credentials[1]


def caller() -> str:
    """Return the name of the token that let the request in; `anonymous` where none is needed."""
    holder: Holder | None = context.g().get("holder")
    return holder.name if holder else ANONYMOUS


def caller_scope() -> str:
    """Return the owner of the request's Idempotency-Key: its token, or else its address."""
    return identity.scope(caller(), request.remote_addr or "")


def keep_private(response: Response) -> Response:
    """Forbid caches to store an answer that depends on a token, valid, invalid or missing.

    Source: RFC 9111, sections 3.5 and 5.2.2.5.
    """
    refused = response.status_code in _REFUSED
    is_authorized = "HTTP_AUTHORIZATION" in context.request().environ
    if refused or is_authorized or context.g().get("depends_on_token"):
        response.headers["Cache-Control"] = "no-store"
    return response
