"""Idempotency-Key: a repeated POST gets the first answer and has no second effect.

`chassis.http.keyed_posts` adds it to every POST route of a service. An effect in the database of
the keys happens once, even after a crash: `store_answer` stores the answer in the effect's
transaction. An effect elsewhere happens once because of its id, which is `message_id`.

Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from flask import Response, g, request
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import UpdateBase

from chassis.errors import ConflictError, FieldError, InvalidError
from chassis.http import context, problems
from chassis.http.request import whole_body
from chassis.storage.database import Database, is_outage
from chassis.storage.idempotency_keys import RETENTION, RequestKey, keys

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
CLAIM = timedelta(seconds=60)
LONGEST = 512 * 1024
"""Bytes of a stored body; of a longer answer only status and headers are stored."""
# no comma: the server joins the lines of a repeated header with it
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,255}")
# refusals because of headers, size, rate or credentials: the same body may pass later
_NOT_STORED = frozenset((400, 401, 403, 406, 408, 412, 413, 415, 428, 429))
_STORED_HEADERS = ("Content-Type", "ETag", "Location")
_IN_PROGRESS = "A request with this Idempotency-Key is still in progress."
logger = logging.getLogger(__name__)


@dataclass
class _Held:
    """The claim of the current request, and whether its answer is stored already."""

    key: RequestKey
    claim: UUID
    is_stored: bool = False


def message_id() -> UUID | None:
    """Return the id of this request's effect, the same at each repetition; None without a key."""
    held = _held()
    return held.key.message_id if held else None


def store_answer(connection: Connection, response: Response) -> None:
    """Store the answer for this request's key, if any, in the transaction of the effect.

    To be called once the answer is known; from the commit on, a repetition gets this answer.

    Raises:
        ConflictError: another request has taken over the claim, which was a minute old; the
            caller must not commit the effect.
    """
    held = _held()
    if held is None:
        return
    mine = and_(_same(held.key), keys.c.claim == held.claim)
    if connection.execute(update(keys).where(mine).values(_answered(response))).rowcount == 0:
        raise ConflictError(_IN_PROGRESS)
    held.is_stored = True


def _held() -> _Held | None:
    held = g.get("idempotency")
    return held if isinstance(held, _Held) else None


def is_requested() -> bool:
    """Return whether the request has a key; most have none, and need no owner and no route."""
    return "HTTP_IDEMPOTENCY_KEY" in context.request().environ


def requested(caller: str, route: str) -> RequestKey:
    """Return the key of a request that has one.

    Args:
        caller: whose key it is.
        route: what the key is for, such as `POST /api/orders`.

    Raises:
        InvalidError: the header is not 1 to 255 visible ASCII characters without a comma.
    """
    key = request.headers[HEADER]
    if not _KEY.fullmatch(key):
        detail = "must be 1 to 255 visible ASCII characters, no comma"
        raise InvalidError([FieldError(HEADER, detail)])
    return RequestKey(caller, route, key, fingerprint(whole_body()))


def fingerprint(body: bytes) -> bytes:
    """Return a hash that is the same for equal JSON, whatever its layout."""
    try:
        content = json.loads(body, parse_float=_written, parse_int=_written)
        body = json.dumps(content, sort_keys=True).encode()
    except (ValueError, RecursionError):
        logger.debug("the body is not JSON, and is hashed as it is")
    return hashlib.sha256(body).digest()


def _written(number: str) -> list[str]:
    return ["number", number]


def answer(database: Database, key: RequestKey, act: Callable[[], Response]) -> Response:
    """Answer with `act`, or with its stored answer for this key.

    A claim whose holder died is taken over after a minute. `act` then runs again, unless it has
    stored its answer with its effect (see `store_answer`). Answers of 500 and above are not stored,
    nor are refusals that do not depend on the body: the caller should retry.

    Raises:
        ConflictError: a request with this key is still in progress.
        InvalidError: the key came with another body before.
    """
    claim = uuid4()
    earlier = _claim(database, key, claim)
    if earlier is not None:
        return earlier
    g.idempotency = held = _Held(key, claim)
    try:
        response = act()
    except Exception as error:
        response = problems.translate(error).response()
    else:
        if held.is_stored:
            return response
    _store_or_release(database, key, claim, response)
    return response


def _claim(database: Database, key: RequestKey, claim: UUID) -> Response | None:
    """Claim the key; return the earlier answer if there is one."""
    now = func.now()
    expired = keys.c.claimed_at < now - RETENTION
    abandoned = and_(
        keys.c.status.is_(None),
        keys.c.body_hash == key.body_hash,
        keys.c.claimed_at < now - CLAIM,
    )
    fresh = {"body_hash": key.body_hash, "claim": claim}
    names = {"caller": key.caller, "route": key.route, "key": key.key}
    nothing = {"claimed_at": now, "status": None, "headers": None, "body": None}
    statement = (
        insert(keys)
        .values(**names, **fresh)
        .on_conflict_do_update(
            index_elements=list(names), set_=fresh | nothing, where=or_(expired, abandoned)
        )
        .returning(keys.c.claim)
    )
    with database.autocommit() as connection:
        if connection.execute(statement).first() is not None:
            return None
        return _earlier(connection, key)


def _earlier(connection: Connection, key: RequestKey) -> Response:
    row = connection.execute(select(keys).where(_same(key))).first()
    if row is None or (row.status is None and row.body_hash == key.body_hash):
        raise ConflictError(_IN_PROGRESS)
    if row.body_hash != key.body_hash:
        detail = "was used with another body; take a new key for a new request"
        raise InvalidError([FieldError(HEADER, detail)])
    response = Response(row.body, row.status, row.headers)
    response.headers[REPLAYED] = "true"
    return response


def _store_or_release(database: Database, key: RequestKey, claim: UUID, response: Response) -> None:
    """Store an answer that depends on key and body alone; release the claim for others."""
    if response.status_code >= 500 or response.status_code in _NOT_STORED:
        _release(database, key, claim)
        return
    mine = and_(_same(key), keys.c.claim == claim)
    _change(database, update(keys).where(mine).values(_answered(response)))


def _answered(response: Response) -> dict[str, Any]:
    body = response.get_data()
    names = [name for name in _STORED_HEADERS if name in response.headers]
    if len(body) > LONGEST:
        body, names = b"", [name for name in names if name != "Content-Type"]
    headers = {name: response.headers[name] for name in names}
    return {"status": response.status_code, "headers": headers, "body": body}


def _release(database: Database, key: RequestKey, claim: UUID) -> None:
    """Release the claim, so that a retry need not wait until it expires.

    It stays if its answer is stored: a commit may have succeeded although it reported an error.
    """
    mine = and_(_same(key), keys.c.claim == claim, keys.c.status.is_(None))
    _change(database, delete(keys).where(mine))


def _change(database: Database, statement: UpdateBase) -> None:
    """Execute `statement`; if the database is unavailable, the claim expires by itself."""
    try:
        with database.autocommit() as connection:
            connection.execute(statement)
    except Exception as error:
        if not is_outage(error):
            raise
        logger.warning("idempotency claim left to expire", extra={"error": str(error)})


def _same(key: RequestKey) -> ColumnElement[bool]:
    return and_(keys.c.caller == key.caller, keys.c.route == key.route, keys.c.key == key.key)
