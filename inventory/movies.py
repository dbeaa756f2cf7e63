"""Movies: queries and changes; each change announces its event.

Knows neither HTTP nor its schemas.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from sqlalchemy import Connection, delete, func, insert, select, text, update

from chassis.errors import UnavailableError
from chassis.preconditions import Check
from chassis.storage.database import Database
from chassis.storage.rows import Resource
from inventory.events import announce
from inventory.models import movies, products
from inventory.products import unlink_movies


class Movie(TypedDict):
    """A movie, as the API shows it."""

    id: int
    title: str
    description: str | None


_movies = Resource("movie", movies, Movie)
get = _movies.get
BATCH_SIZE = 5000
"""How many movies `clear` deletes in one transaction."""
_CLEAR_SECONDS = 6.0  # the gateway waits 10 s for an answer


def find(
    connection: Connection, *, title: str | None, after: int | None, limit: int
) -> list[Movie]:
    """Return up to `limit` movies after the id `after`, in the order of their ids.

    Those that no longer fit into a page have no texts (see `bounded`).

    Args:
        connection: a connection to `movies_db`.
        title: a part of the title, in any case; `%` and `_` mean themselves.
        after: the last id of the previous page.
        limit: the most movies to return.
    """
    criteria = [movies.c.title.icontains(title, autoescape=True)] if title else []
    return _movies.find(connection, after, limit, criteria)


def create(
    connection: Connection, values: Mapping[str, Any], store_answer: Callable[[Movie], None]
) -> Movie:
    """Insert a movie and return it; `store_answer` stores the answer to the request."""
    movie = _movies.apply(connection, insert(movies).values(**values))
    store_answer(movie)
    announce(connection, "movie.created", movie, f"movie/{movie['id']}")
    return movie


def change(
    connection: Connection, movie_id: int, values: Mapping[str, Any], check: Check | None = None
) -> Movie:
    """Change the columns in `values` of a movie that passes `check`, and return it.

    Raises:
        NotFoundError: no movie has this id.
    """
    _movies.check(connection, movie_id, check, key_share=True)
    statement = update(movies).where(movies.c.id == movie_id).values(**values)
    movie = _movies.apply(connection, statement, movie_id)
    announce(connection, "movie.updated", movie, f"movie/{movie['id']}")
    return movie


def remove(connection: Connection, movie_id: int, check: Check | None = None) -> Movie:
    """Delete a movie that passes `check`, and return it; its products refer to no movie then.

    Raises:
        NotFoundError: no movie has this id.
    """
    # locked before its products; nobody can make another product its edition meanwhile
    movie = _movies.locked(connection, movie_id)
    if check is not None:
        check(movie)
    unlink_movies(connection, products.c.movie_id == movie_id)
    connection.execute(delete(movies).where(movies.c.id == movie_id))
    announce(connection, "movie.deleted", movie, f"movie/{movie['id']}")
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
        newest = connection.execute(select(func.max(movies.c.id))).scalar_one()
        return newest or 0


def _clear_batch(connection: Connection, after: int, last: int) -> Sequence[int]:
    """Delete up to `BATCH_SIZE` of the movies after `after`, up to `last`; return their ids."""
    _lock(connection)
    rows = select(movies.c.id).where(movies.c.id > after, movies.c.id <= last)
    ids = connection.execute(rows.order_by(movies.c.id).limit(BATCH_SIZE)).scalars().all()
    if ids:
        unlink_movies(connection, products.c.movie_id.between(ids[0], ids[-1]))
        connection.execute(delete(movies).where(movies.c.id.between(ids[0], ids[-1])))
        data = {"deleted": len(ids), "up_to": ids[-1]}
        announce(connection, "movie.cleared", data, "movies")
    return ids


def _lock(connection: Connection) -> None:
    """Block changes of movies, and new references from products to them."""
    connection.execute(text("LOCK TABLE movies IN EXCLUSIVE MODE"))
