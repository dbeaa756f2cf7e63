"""Products: queries and changes; each change announces its event.

Knows neither HTTP nor its schemas. Every transaction locks movies first, then products in the order
of their ids, so that there is no deadlock.
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

from chassis.errors import ConflictError, FieldError, InvalidError, found
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
_BATCH_SIZE = 1000  # products that one statement changes


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
    """Return up to `limit` products after the id `after`, in the order of their ids.

    Those that no longer fit into a page have no texts (see `bounded`).

    Args:
        connection: a connection to `movies_db`.
        name: a part of the name, in any case; `%` and `_` mean themselves.
        movie_id: the movie that they are editions of.
        in_stock: whether at least one is in stock.
        ids: only these products.
        after: the last id of the previous page.
        limit: the most products to return.
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
    return found(row, "product", product_id)


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
    """Change the columns in `values` of a product that passes `check`, and return it.

    Raises:
        NotFoundError: there is none with this id.
        InvalidError: there is no such movie.
    """
    if values.get("movie_id") is not None:
        # the constraint locks the movie, too, but after the product
        movie = select(Movie.id).where(Movie.id == values["movie_id"])
        connection.execute(movie.with_for_update(read=True, key_share=True))
    _check(connection, product_id, check)
    statement = update(Product).where(Product.id == product_id).values(**values)
    with _existing_movie():
        row = connection.execute(statement.returning(*_COLUMNS)).mappings().first()
    product = found(row, "product", product_id)
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
    current = f"There are {product['stock']:,} of the product {product['id']}"
    return ConflictError(f"{current}; {delta:+,} would take its stock {bound}.")


def remove(connection: Connection, product_id: int, check: Check | None = None) -> RowMapping:
    """Delete a product that passes `check`, and return it.

    Raises:
        NotFoundError: there is none with this id.
    """
    _check(connection, product_id, check)
    statement = delete(Product).where(Product.id == product_id).returning(*_COLUMNS)
    product = found(connection.execute(statement).mappings().first(), "product", product_id)
    _announce(connection, "product.deleted", product)
    return product


def unlink_movies(connection: Connection, condition: ColumnElement[bool]) -> None:
    """Set `movie_id` of products to null, in batches, and announce each change.

    Args:
        connection: in a transaction that blocks new references to these movies.
        condition: which products to change.
    """
    in_order = select(Product.id).where(condition).order_by(Product.id).limit(_BATCH_SIZE)
    while ids := connection.execute(in_order.with_for_update()).scalars().all():
        batch = Product.id == any_(cast(list(ids), ARRAY(BIGINT)))
        statement = update(Product).where(batch).values(movie_id=None).returning(*_COLUMNS)
        changed = connection.execute(statement).mappings().all()
        by_name = {f"product/{product['id']}": dict(product) for product in changed}
        announce_all(connection, "product.updated", by_name)


def _announce(connection: Connection, event_type: str, product: RowMapping) -> None:
    announce(connection, event_type, dict(product), f"product/{product['id']}")


def _check(connection: Connection, product_id: int, check: Check | None) -> None:
    """Lock a product and check it, if there is a check."""
    if check is not None:
        query = select(*_COLUMNS).where(Product.id == product_id).with_for_update()
        check(found(connection.execute(query).mappings().first(), "product", product_id))


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
