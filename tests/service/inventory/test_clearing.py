"""Deleting all movies: set-based, in pieces that are whole, and said so when it takes longer."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.engine import Engine

from chassis.storage.database import Database
from inventory import movies
from tests.support.answers import problem
from tests.support.statements import statements_of

MOVIES = "/api/movies"
ROWS = 12_000


def fill(database: Database, rows: int) -> None:
    """Make movies, of which each second one has a product."""
    with database.autocommit() as connection:
        connection.execute(
            text("INSERT INTO movies (title) SELECT 'm' || n FROM generate_series(1, :rows) n"),
            {"rows": rows},
        )
        connection.execute(
            text(
                "INSERT INTO products (name, price, movie_id) "
                "SELECT 'p', 1, id FROM movies WHERE id % 2 = 0"
            )
        )


def rows(database: Database, statement: str) -> list[Any]:
    """What a statement finds."""
    with database.autocommit() as connection:
        return list(connection.execute(text(statement)).all())


def told(database: Database, type: str) -> list[dict[str, Any]]:
    """The data of the events of a type, in their order."""
    statement = f"SELECT body FROM outbox WHERE routing_key = '{type}' ORDER BY id"
    return [json.loads(bytes(row.body))["data"] for row in rows(database, statement)]


def test_thousands_of_movies_and_products_take_few_statements_and_each_has_its_event(
    inventory: FlaskClient, movies_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # on a busy machine, too, it is one request
    monkeypatch.setattr(movies, "_CLEAR_SECONDS", 600.0)
    fill(movies_db, ROWS)
    with statements_of(Engine) as statements:
        assert inventory.delete(MOVIES).json == {"deleted": ROWS}
    assert len(statements) < 60
    assert rows(movies_db, "SELECT FROM movies") == []
    assert rows(movies_db, "SELECT FROM products WHERE movie_id IS NOT NULL") == []
    pieces = [(one["deleted"], one["up_to"]) for one in told(movies_db, "movie.cleared")]
    assert pieces == [(5000, 5000), (5000, 10_000), (2000, 12_000)]
    updates = told(movies_db, "product.updated")
    assert len({one["id"] for one in updates}) == len(updates) == ROWS // 2
    assert {one["movie_id"] for one in updates} == {None}
    names = rows(movies_db, "SELECT DISTINCT aggregate FROM outbox WHERE aggregate LIKE 'prod%'")
    assert len(names) == ROWS // 2


def test_a_movie_with_thousands_of_products_takes_few_statements(
    inventory: FlaskClient, movies_db: Database
) -> None:
    fill(movies_db, 5000)
    with movies_db.autocommit() as connection:
        connection.execute(text("UPDATE products SET movie_id = 1"))
    with statements_of(Engine) as statements:
        assert inventory.delete(f"{MOVIES}/1").status_code == 200
    assert len(statements) < 30
    assert len(told(movies_db, "product.updated")) == 2500


def test_the_next_request_continues_an_unfinished_deletion(
    inventory: FlaskClient, movies_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(movies, "BATCH_SIZE", 10)
    monkeypatch.setattr(movies, "_CLEAR_SECONDS", 0.0)
    fill(movies_db, 25)
    for left in (15, 5):
        said = problem(inventory.delete(MOVIES), 503)
        assert said["cause"] == "unfinished"
        assert said["detail"] == "10 movies were deleted, and there are more: repeat the request."
        assert len(rows(movies_db, "SELECT FROM movies")) == left
    assert inventory.delete(MOVIES).json == {"deleted": 5}
    assert inventory.delete(MOVIES).json == {"deleted": 0}


def test_a_movie_that_is_created_meanwhile_stays(
    inventory: FlaskClient, movies_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(movies_db, 5)
    clear_piece = movies._clear_batch

    def created_first(*arguments: Any) -> Any:
        with movies_db.autocommit() as connection:
            connection.execute(text("INSERT INTO movies (title) VALUES ('new')"))
        monkeypatch.setattr(movies, "_clear_batch", clear_piece)
        return clear_piece(*arguments)

    monkeypatch.setattr(movies, "_clear_batch", created_first)
    assert inventory.delete(MOVIES).json == {"deleted": 5}
    assert [row.title for row in rows(movies_db, "SELECT title FROM movies")] == ["new"]
    assert told(movies_db, "movie.cleared") == [{"deleted": 5, "up_to": 5}]


def test_a_stopped_statement_is_not_an_unavailable_database(
    inventory: FlaskClient, movies_db: Database
) -> None:
    """Somebody holds the table for longer than a statement may take."""
    with movies_db.transaction() as holder:
        holder.execute(text("LOCK TABLE movies IN ACCESS EXCLUSIVE MODE"))
        said = problem(inventory.get(f"{MOVIES}/1"), 503)
    assert said["cause"] == "statement_timeout"
