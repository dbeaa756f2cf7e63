"""Which resources a request reads or changes, by its path."""

import re
from collections.abc import Mapping

from gateway.cache.versions import Slots

MOVIES, PRODUCTS = Slots(0), Slots(1)
_KINDS = {"movies": MOVIES, "products": PRODUCTS, "produits": PRODUCTS}
# an id as inventory-api writes it; other spellings are not cached
_READ = re.compile(r"/api/(movies|products|produits)(?:/([1-9][0-9]{0,18}))?/?")
_WRITTEN = re.compile(r"/api/(movies|products|produits)(?:/([1-9][0-9]{0,18})(?:/.*)?|/)?")


def read(path: str) -> tuple[int, ...] | None:
    """Return the slots that an answer to GET of a path depends on; None if it is not cached."""
    if (match := _READ.fullmatch(path)) is None:
        return None
    kind, id = _KINDS[match[1]], match[2]
    return kind.everything, kind.lists if id is None else kind.item(int(id))


def written(method: str, path: str) -> tuple[int, ...]:
    """Return the slots that an unsafe request changes: all of the kind if it is not clear."""
    match = _WRITTEN.fullmatch(path)
    if match is None:
        return MOVIES.everything, PRODUCTS.everything
    kind, id = _KINDS[match[1]], match[2]
    if kind is MOVIES and method == "DELETE":
        # products that referred to a movie no longer do
        own = (kind.everything,) if id is None else (kind.lists, kind.item(int(id)))
        return *own, PRODUCTS.everything
    if id is not None:
        return kind.lists, kind.item(int(id))
    return (kind.lists,) if method == "POST" else (kind.everything,)


def announced(type: str, data: Mapping[str, object]) -> tuple[int, ...]:
    """Return the slots that an event of inventory changes."""
    name, _, what = type.partition(".")
    if name == "stock":
        if what in ("rejected", "sold"):
            return ()
        ids = [line.get("product_id") for line in _lines(data)]
        return PRODUCTS.lists, *_items(PRODUCTS, ids)
    if name not in ("movie", "product"):
        return MOVIES.everything, PRODUCTS.everything
    kind = MOVIES if name == "movie" else PRODUCTS
    return kind.lists, *_items(kind, [data.get("id")])


def _items(kind: Slots, ids: list[object]) -> tuple[int, ...]:
    """Return the slots of items; the one of all if an id is missing."""
    if all(isinstance(id, int) for id in ids):
        return tuple(kind.item(id) for id in ids if isinstance(id, int))
    return (kind.everything,)


def _lines(data: Mapping[str, object]) -> list[Mapping[str, object]]:
    lines = data.get("lines")
    return lines if isinstance(lines, list) else [{}]
