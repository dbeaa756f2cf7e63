"""Products: what can be done with them, each change with its event.

Knows neither HTTP nor its schemas. Whoever locks movies and products locks the movies first, and
the products in the order of their ids, so that nobody waits for each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg2.errors import ForeignKeyViolation
from sqlalchemy import (
    BIGINT,
    ColumnElement,
    Connection,
    RowMapping,
    any_,
    cast,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError

from chassis.errors import ConflictError, FieldError, InvalidError, NotFoundError
from chassis.preconditions import Check
from chassis.schema.fields import MAX_INTEGER
from chassis.storage.page_size import bounded
from inventory.events import announce, announce_all
from inventory.models import Movie, Product

_COLUMNS = (
    Product.id,
    Product.name,
    Product.description,
    Product.price,
    Product.stock,
    Product.movie_id,
)
_LISTED = bounded(_COLUMNS, Product.id)
_MOVIE_CONSTRAINT = "products_movie"
_PIECE = 1000  # products that one statement changes


def find(
    connection: Connection,
    *,
    name: str | None,
    movie_id: int | None,
    in_stock: bool | None,
    ids: Sequence[int] | None,
    after: int | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` products in the order of their ids, those after the id `after`.

    Those that no longer fit into a page have no texts (see `bounded`).

    Args:
        connection: a connection to `movies_db`.
        name: a part of the name, in any case; `%` and `_` mean themselves.
        movie_id: the movie that they are editions of.
        in_stock: whether there is at least one.
        ids: no others than these.
        after: the last id of the page before.
        limit: at most so many.
    """
    query = select(*_LISTED).order_by(Product.id).limit(limit)
    if after is not None:
        query = query.where(Product.id > after)
    if name:
        query = query.where(Product.name.icontains(name, autoescape=True))
    if movie_id is not None:
        query = query.where(Product.movie_id == movie_id)
    if in_stock is not None:
        query = query.where(Product.stock > 0 if in_stock else Product.stock == 0)
    if ids is not None:
        query = query.where(Product.id.in_(ids))
    return connection.execute(query).mappings().all()


def get(connection: Connection, product_id: int) -> RowMapping:
    """Return one product.

    Raises:
        NotFoundError: there is none with this id.
    """
    row = connection.execute(select(*_COLUMNS).where(Product.id == product_id)).mappings().first()
    return _existing(row, product_id)


def create(connection: Connection, values: Mapping[str, Any]) -> RowMapping:
    """Insert a product and return it.

    Raises:
        InvalidError: there is no such movie.
    """
    statement = insert(Product).values(**values).returning(*_COLUMNS)
    with _existing_movie():
        product = connection.execute(statement).mappings().one()
    _announce(connection, "product.created", product)
    return product


def change(
    connection: Connection, product_id: int, values: Mapping[str, Any], check: Check | None = None
) -> RowMapping:
    """Change what `values` name of a product that passes `check`, and return it.

    Raises:
        NotFoundError: there is none with this id.
        InvalidError: there is no such movie.
    """
    if values.get("movie_id") is not None:
        # as its constraint will, but before the product
        movie = select(Movie.id).where(Movie.id == values["movie_id"])
        connection.execute(movie.with_for_update(read=True, key_share=True))
    _check(connection, product_id, check)
    statement = update(Product).where(Product.id == product_id).values(**values)
    with _existing_movie():
        row = connection.execute(statement.returning(*_COLUMNS)).mappings().first()
    product = _existing(row, product_id)
    _announce(connection, "product.updated", product)
    return product


def adjust(
    connection: Connection, product_id: int, delta: int, check: Check | None = None
) -> RowMapping:
    """Add `delta`, which may be negative, to the stock of a product that passes `check`; return it.

    Raises:
        NotFoundError: there is none with this id.
        ConflictError: the stock would go below 0, or above what an integer holds.
    """
    _check(connection, product_id, check)
    stock = cast(Product.stock, BIGINT) + delta
    statement = (
        update(Product)
        .where(Product.id == product_id, stock.between(0, MAX_INTEGER))
        .values(stock=Product.stock + delta)
        .returning(*_COLUMNS)
    )
    product = connection.execute(statement).mappings().first()
    if product is None:
        raise _impossible(get(connection, product_id), delta)
    _announce(connection, "product.updated", product)
    return product


def _impossible(product: RowMapping, delta: int) -> ConflictError:
    bound = "below 0" if delta < 0 else f"above {MAX_INTEGER:,}"
    there = f"There are {product['stock']:,} of the product {product['id']}"
    return ConflictError(f"{there}; {delta:+,} would take its stock {bound}.")


def remove(connection: Connection, product_id: int, check: Check | None = None) -> RowMapping:
    """Delete a product that passes `check`, and return what it was.

    Raises:
        NotFoundError: there is none with this id.
    """
    _check(connection, product_id, check)
    statement = delete(Product).where(Product.id == product_id).returning(*_COLUMNS)
    product = _existing(connection.execute(statement).mappings().first(), product_id)
    _announce(connection, "product.deleted", product)
    return product


def forget_movies(connection: Connection, which: ColumnElement[bool]) -> None:
    """Set `movie_id` of products to null, with an event for each; a thousand products at a time.

    Args:
        connection: in a transaction that keeps others from referring to these movies.
        which: the condition that these products fit.
    """
    in_order = select(Product.id).where(which).order_by(Product.id).limit(_PIECE)
    while ids := connection.execute(in_order.with_for_update()).scalars().all():
        piece = Product.id == any_(cast(list(ids), ARRAY(BIGINT)))
        statement = update(Product).where(piece).values(movie_id=None).returning(*_COLUMNS)
        changed = connection.execute(statement).mappings().all()
        by_name = {f"product/{product['id']}": dict(product) for product in changed}
        announce_all(connection, "product.updated", by_name)


def _announce(connection: Connection, event_type: str, product: RowMapping) -> None:
    announce(connection, event_type, dict(product), f"product/{product['id']}")


def _check(connection: Connection, product_id: int, check: Check | None) -> None:
    """Lock a product and have it checked, if there is a check."""
    if check is not None:
        query = select(*_COLUMNS).where(Product.id == product_id).with_for_update()
        check(_existing(connection.execute(query).mappings().first(), product_id))


def _existing(row: RowMapping | None, product_id: int) -> RowMapping:
    if row is None:
        raise NotFoundError(f"There is no product with the id {product_id}.")
    return row


@contextmanager
def _existing_movie() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if not _misses_movie(error.orig):
            raise
        raise InvalidError([FieldError("movie_id", "is not the id of a movie")]) from None


def _misses_movie(cause: BaseException | None) -> bool:
    return (
        isinstance(cause, ForeignKeyViolation) and cause.diag.constraint_name == _MOVIE_CONSTRAINT
    )
