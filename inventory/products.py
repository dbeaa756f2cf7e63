"""Products: queries and changes; each change announces its event.

Knows neither HTTP nor its schemas. Every transaction locks movies first, then products in the order
of their ids, so that there is no deadlock.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypedDict

from psycopg2.errors import ForeignKeyViolation
from sqlalchemy import (
    BIGINT,
    ColumnElement,
    Connection,
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
from chassis.storage.rows import Resource, rows
from inventory.events import announce, announce_all
from inventory.models import movies, products


class Product(TypedDict):
    """A product, as the API shows it."""

    id: int
    name: str
    description: str | None
    price: Decimal
    stock: int
    movie_id: int | None


_products = Resource("product", products, Product)
get = _products.get
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
) -> list[Product]:
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
    criteria: list[ColumnElement[bool]] = []
    if name:
        criteria.append(products.c.name.icontains(name, autoescape=True))
    if movie_id is not None:
        criteria.append(products.c.movie_id == movie_id)
    if in_stock is not None:
        criteria.append(products.c.stock > 0 if in_stock else products.c.stock == 0)
    if ids is not None:
        criteria.append(products.c.id.in_(ids))
    return _products.find(connection, after, limit, criteria)


def create(
    connection: Connection, values: Mapping[str, Any], store_answer: Callable[[Product], None]
) -> Product:
    """Insert a product and return it; `store_answer` stores the answer to the request.

    Raises:
        InvalidError: there is no such movie.
    """
    with _existing_movie():
        product = _products.apply(connection, insert(products).values(**values))
    store_answer(product)
    announce(connection, "product.created", product, f"product/{product['id']}")
    return product


def change(
    connection: Connection, product_id: int, values: Mapping[str, Any], check: Check | None = None
) -> Product:
    """Change the columns in `values` of a product that passes `check`, and return it.

    Raises:
        NotFoundError: no product has this id.
        InvalidError: there is no such movie.
    """
    if values.get("movie_id") is not None:
        # the constraint locks the movie, too, but after the product
        movie = select(movies.c.id).where(movies.c.id == values["movie_id"])
        connection.execute(movie.with_for_update(read=True, key_share=True))
    _products.check(connection, product_id, check)
    statement = update(products).where(products.c.id == product_id).values(**values)
    with _existing_movie():
        product = _products.apply(connection, statement, product_id)
    announce(connection, "product.updated", product, f"product/{product['id']}")
    return product


def adjust(
    connection: Connection, product_id: int, delta: int, check: Check | None = None
) -> Product:
    """Add `delta`, which may be negative, to the stock of a product that passes `check`; return it.

    Raises:
        NotFoundError: no product has this id.
        ConflictError: the stock would go below 0, or above what an integer holds.
    """
    _products.check(connection, product_id, check)
    stock = cast(products.c.stock, BIGINT) + delta
    statement = (
        update(products)
        .where(products.c.id == product_id, stock.between(0, MAX_INTEGER))
        .values(stock=products.c.stock + delta)
    )
    try:
        product = _products.apply(connection, statement, product_id)
    except NotFoundError:
        raise _impossible(get(connection, product_id), delta) from None
    announce(connection, "product.updated", product, f"product/{product['id']}")
    return product


def _impossible(product: Product, delta: int) -> ConflictError:
    bound = "below 0" if delta < 0 else f"above {MAX_INTEGER:,}"
    current = f"There are {product['stock']:,} of the product {product['id']}"
    return ConflictError(f"{current}; {delta:+,} would take its stock {bound}.")


def remove(connection: Connection, product_id: int, check: Check | None = None) -> Product:
    """Delete a product that passes `check`, and return it.

    Raises:
        NotFoundError: no product has this id.
    """
    _products.check(connection, product_id, check)
    statement = delete(products).where(products.c.id == product_id)
    product = _products.apply(connection, statement, product_id)
    announce(connection, "product.deleted", product, f"product/{product['id']}")
    return product


def unlink_movies(connection: Connection, condition: ColumnElement[bool]) -> None:
    """Set `movie_id` of products to null, in batches, and announce each change.

    Args:
        connection: in a transaction that blocks new references to these movies.
        condition: which products to change.
    """
    in_order = select(products.c.id).where(condition).order_by(products.c.id).limit(_BATCH_SIZE)
    while ids := connection.execute(in_order.with_for_update()).scalars().all():
        batch = products.c.id == any_(cast(list(ids), ARRAY(BIGINT)))
        statement = update(products).where(batch).values(movie_id=None)
        changed = rows(connection, statement.returning(*_products.columns), Product)
        by_name = {f"product/{product['id']}": product for product in changed}
        announce_all(connection, "product.updated", by_name)


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
