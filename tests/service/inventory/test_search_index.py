"""A search for a part of a title is fast on many rows: it uses the trigram index."""

from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from chassis.storage.database import Database
from inventory import models, movies
from tests.support.statements import plan_of, statements_of

ROWS = 20_000


@pytest.fixture
def many_movies(movies_db: Database) -> Database:
    """Inventory's database with many movies, analyzed."""
    syllables = ["ba", "ce", "di", "fo", "gu", "ly", "mo", "na", "re", "sti"]
    titles = (
        " ".join(syllables[int(digit)] + syllables[(int(digit) + n) % 10] for digit in f"{n:05}")
        for n in range(ROWS)
    )
    with movies_db.autocommit() as connection:
        connection.execute(insert(models.movies), [{"title": title} for title in titles])
        connection.execute(insert(models.movies), [{"title": "L'École 100%_sure / \\o/"}])
        connection.execute(text("VACUUM ANALYZE movies"))
    return movies_db


def plan(connection: Connection, **search: Any) -> str:
    """How PostgreSQL executes the very statement that `movies.find` sends."""
    with statements_of(connection) as sent:
        movies.find(connection, **search)
    [statement] = sent
    return plan_of(connection, statement)


def test_a_selective_search_uses_the_trigram_index_and_a_page_without_one_the_primary_key(
    many_movies: Database,
) -> None:
    with many_movies.autocommit() as connection:
        for searched, after in product(["ÉCOLE", "100%_sure", "/ \\o/"], [None, 100]):
            search: dict[str, Any] = {"title": searched, "after": after, "limit": 101}
            found = movies.find(connection, **search)
            assert [movie["title"] for movie in found] == ["L'École 100%_sure / \\o/"]
            assert "movies_title_trigrams" in plan(connection, **search)
        steps = plan(connection, title=None, after=ROWS // 2, limit=101)
    assert "movies_pkey" in steps
    assert "Sort" not in steps
