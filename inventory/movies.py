"""Movies: queries and changes; each change announces its event.

Knows neither HTTP nor its schemas.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, select, text, update

from chassis.errors import UnavailableError, found
from chassis.preconditions import Check
from chassis.storage.database import Database
from chassis.storage.page_size import bounded
from inventory import products
from inventory.events import announce
from inventory.models import Movie, Product

_COLUMNS = (Movie.id, Movie.title, Movie.description)
BATCH_SIZE = 5000
"""How many movies `clear` deletes in one transaction."""
_CLEAR_SECONDS = 6.0  # the gateway waits 10 s for an answer
# built once: building a statement takes as long as executing it
_LISTED = bounded(_COLUMNS, Movie.id)
_BY_ID = select(*_COLUMNS).where(Movie.id == bindparam("movie_id"))


def find(
    connection: Connection, *, title: str | None, after: int | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` movies after the id `after`, in the order of their ids.

    Those that no longer fit into a page have no texts (see `bounded`).

    Args:
        connection: a connection to `movies_db`.
        title: a part of the title, in any case; `%` and `_` mean themselves.
        after: the last id of the previous page.
        limit: the most movies to return.
    """
    query = select(*_LISTED).order_by(Movie.id).limit(limit)
    if after is not None:
        query = query.where(Movie.id > after)
    if title:
        query = query.where(Movie.title.icontains(title, autoescape=True))
    return connection.execute(query).mappings().all()


def get(connection: Connection, movie_id: int) -> RowMapping:
    """Return one movie.

    Raises:
        NotFoundError: there is none with this id.
    """
    row = connection.execute(_BY_ID, {"movie_id": movie_id}).mappings().first()
    return found(row, "movie", movie_id)


def create(connection: Connection, values: Mapping[str, Any]) -> RowMapping:
    """Insert a movie and return it."""
    statement = insert(Movie).values(**values).returning(*_COLUMNS)
    movie = connection.execute(statement).mappings().one()
    _announce(connection, "movie.created", movie)
    return movie


def change(
    connection: Connection, movie_id: int, values: Mapping[str, Any], check: Check | None = None
) -> RowMapping:
    """Change the columns in `values` of a movie that passes `check`, and return it.

    Raises:
        NotFoundError: there is none with this id.
    """
    if check is not None:
        query = select(*_COLUMNS).where(Movie.id == movie_id).with_for_update(key_share=True)
        check(found(connection.execute(query).mappings().first(), "movie", movie_id))
    statement = update(Movie).where(Movie.id == movie_id).values(**values).returning(*_COLUMNS)
    movie = found(connection.execute(statement).mappings().first(), "movie", movie_id)
    _announce(connection, "movie.updated", movie)
    return movie


def remove(connection: Connection, movie_id: int, check: Check | None = None) -> RowMapping:
    """Delete a movie that passes `check`, and return it; its products refer to no movie then.

    Raises:
        NotFoundError: there is none with this id.
    """
    # locked before its products; nobody can make another product its edition meanwhile
    query = select(*_COLUMNS).where(Movie.id == movie_id).with_for_update()
    movie = found(connection.execute(query).mappings().first(), "movie", movie_id)
    if check is not None:
        check(movie)
    products.unlink_movies(connection, Product.movie_id == movie_id)
    connection.execute(delete(Movie).where(Movie.id == movie_id))
    _announce(connection, "movie.deleted", movie)
    return movie


def clear(database: Database) -> int:
    """Delete all movies and return how many there were; their products refer to no movie then.

    They are deleted in batches, each in a transaction of its own with its event: however many there
    are, no statement takes long, and no writer waits long. Movies that are created meanwhile stay.

    Raises:
        UnavailableError: there are too many to delete within one request. The deleted ones stay
            deleted, and another call continues.
    """
    end = time.monotonic() + _CLEAR_SECONDS
    last = _newest(database)
    deleted, after = 0, 0
    while True:
        with database.transaction() as connection:
            ids = _clear_batch(connection, after, last)
        deleted += len(ids)
        if len(ids) < BATCH_SIZE:
            return deleted
        after = ids[-1]
        if time.monotonic() > end:
            detail = f"{deleted:,} movies were deleted, and there are more: repeat the request."
            raise UnavailableError(detail, cause="unfinished")


def _newest(database: Database) -> int:
    """Return the highest id of a movie; movies created from now on get higher ones."""
    with database.transaction() as connection:
        _lock(connection)
        return connection.execute(select(func.coalesce(func.max(Movie.id), 0))).scalar_one()


def _clear_batch(connection: Connection, after: int, last: int) -> Sequence[int]:
    """Delete up to `BATCH_SIZE` of the movies after `after`, up to `last`; return their ids."""
    _lock(connection)
    rows = select(Movie.id).where(Movie.id > after, Movie.id <= last)
    ids = connection.execute(rows.order_by(Movie.id).limit(BATCH_SIZE)).scalars().all()
    if ids:
        products.unlink_movies(connection, Product.movie_id.between(ids[0], ids[-1]))
        connection.execute(delete(Movie).where(Movie.id.between(ids[0], ids[-1])))
        data = {"deleted": len(ids), "up_to": ids[-1]}
        announce(connection, "movie.cleared", data, "movies")
    return ids


def _lock(connection: Connection) -> None:
    """Block changes of movies, and new references from products to them."""
    connection.execute(text("LOCK TABLE movies IN EXCLUSIVE MODE"))


def _announce(connection: Connection, event_type: str, movie: RowMapping) -> None:
    announce(connection, event_type, dict(movie), f"movie/{movie['id']}")
