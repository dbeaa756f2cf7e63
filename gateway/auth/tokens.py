"""Tokens: stored as hashes, and looked up at each request that needs one.

guard.py checks the token of a request. This module knows neither HTTP nor the broker.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypedDict

from psycopg2.errors import UniqueViolation
from pydantic import SecretStr
from sqlalchemy import Connection, case, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from chassis.errors import ConflictError, FieldError, InvalidError, NotFoundError
from chassis.http.caller import ANONYMOUS, WATCH
from chassis.storage.database import Database
from chassis.storage.rows import rows
from gateway.auth.scopes import EVERY_SCOPE
from gateway.models import tokens

BOOTSTRAP = "bootstrap"
RESERVED = (ANONYMOUS, BOOTSTRAP, WATCH)
PREFIX = "crud_"  # scanners for leaked secrets recognise tokens by it
_RANDOM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STATE = case(
    (tokens.c.revoked_at.is_not(None), "revoked"),
    (tokens.c.expires_at <= func.now(), "expired"),
    else_="active",
)


class Holder(NamedTuple):
    """The holder of a token, and its scopes."""

    name: str
    scopes: frozenset[str]


class TokenView(TypedDict):
    """A token as it is listed; its state is `active`, `expired` or `revoked`."""

    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    state: str


class Tokens:
    """The tokens of `gateway_db`, and the bootstrap token beside them."""

    def __init__(self, database: Database, bootstrap: SecretStr | None) -> None:
        """Take `API_TOKEN` and keep only its hash; None if there is no such token."""
        self._database = database
        self._bootstrap = _digest(bootstrap.get_secret_value()) if bootstrap else None

    def holder(self, token: str) -> Holder | None:
        """Return the holder of a token; None if it is unknown, expired or revoked.

        Nothing is cached: a revoked token stops working at once.

        Raises:
            sqlalchemy.exc.OperationalError: the database is unavailable; the bootstrap token does
                not need it.
        """
        digest = _digest(token)
        if self._bootstrap is not None and hmac.compare_digest(digest, self._bootstrap):
            return Holder(BOOTSTRAP, frozenset(EVERY_SCOPE))
        with self._database.autocommit() as connection:
            return _find(connection, digest)


def _digest(token: str) -> bytes:
    # A slow, salted hash protects words that can be guessed. A token is 256 random bits, which
    # nobody can guess, however fast the hash.
    return hashlib.sha256(token.encode()).digest()


def _find(connection: Connection, digest: bytes) -> Holder | None:
    # The index's response time reveals at most how a digest begins, and no caller can choose a
    # token by its digest. The comparison that decides takes constant time.
    query = select(tokens.c.name, tokens.c.scopes, tokens.c.hash).where(
        tokens.c.hash == digest,
        tokens.c.revoked_at.is_(None),
        or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > func.now()),
    )
    row = connection.execute(query).first()
    if row is None or not hmac.compare_digest(digest, row.hash):
        return None
    return Holder(row.name, frozenset(row.scopes))


def create(
    connection: Connection, name: str, scopes: Sequence[str], lifetime: timedelta | None
) -> str:
    """Create a token and return it; it can't be read again. The caller commits.

    Args:
        connection: to `gateway_db`, in a transaction.
        name: the holder, as the services get it.
        scopes: what the token allows, e.g. `orders:read`.
        lifetime: how long until it expires; None for never.

    Raises:
        InvalidError: the name is malformed or reserved.
        ConflictError: a token that is not revoked has this name.
    """
    _check_name(name)
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    expires_at = None if lifetime is None else func.now() + lifetime
    values = {"name": name, "hash": _digest(token), "scopes": scopes, "expires_at": expires_at}
    try:
        connection.execute(insert(tokens).values(**values))
    except IntegrityError as error:
        if not isinstance(error.orig, UniqueViolation):
            raise
        detail = f"There is a token {name} already; revoke it first, or choose another name."
        raise ConflictError(detail) from None
    return token


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        detail = "must be 1 to 64 of a-z A-Z 0-9 . _ - and begin with a letter or digit"
        raise InvalidError([FieldError("name", detail)])
    if name.lower() in RESERVED:
        raise InvalidError([FieldError("name", f"must not be {' or '.join(RESERVED)}")])


def find_all(connection: Connection) -> list[TokenView]:
    """Return all tokens, oldest first."""
    columns = (tokens.c.name, tokens.c.scopes, tokens.c.created_at, tokens.c.expires_at)
    query = select(*columns, _STATE.label("state")).order_by(tokens.c.id)
    return rows(connection, query, TokenView)


def revoke(connection: Connection, name: str) -> None:
    """Revoke a token, as of the commit, which is the caller's.

    Raises:
        NotFoundError: no token that is not revoked has this name.
    """
    active = update(tokens).where(tokens.c.name == name, tokens.c.revoked_at.is_(None))
    if not connection.execute(active.values(revoked_at=func.now())).rowcount:
        raise NotFoundError(f"There is no token {name} to revoke.")
