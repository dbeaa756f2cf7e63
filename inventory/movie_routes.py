"""`/api/movies`."""

from flask import Blueprint, Response, jsonify

from chassis.http import etag, idempotency
from chassis.http import request as parsing
from chassis.http.etag import created, tagged
from chassis.http.paging import page
from chassis.http.request import BIGINT
from chassis.schema.fields import Schema
from chassis.storage.database import Database
from inventory import movies
from inventory.schemas import MovieChange, MovieQuery, NewMovie


def movie_routes(database: Database) -> Blueprint:
    """Return the routes of movies."""
    routes = Blueprint("movies", __name__, url_prefix="/api/movies")

    @routes.get("")
    def list_movies() -> Response:
        query = parsing.query(MovieQuery)
        with database.autocommit() as connection:
            found = movies.find(
                connection, title=query.title, after=query.after, limit=query.limit + 1
            )
        return tagged(page(found, query.limit))

    @routes.post("")
    def create_movie() -> Response:
        new = parsing.body(NewMovie)
        with database.transaction() as connection:
            movie = movies.create(connection, new.model_dump())
            response = created(jsonify(dict(movie)), f"/api/movies/{movie['id']}")
            idempotency.store_answer(connection, response)
        return response

    @routes.delete("")
    def delete_movies() -> Response:
        parsing.query(Schema)
        etag.refuse_conditions()
        return jsonify(deleted=movies.clear(database))

    @routes.get("/<movie_id>")
    def get_movie(movie_id: str) -> Response:
        key = parsing.identifier(movie_id, BIGINT)
        with database.autocommit() as connection:
            return tagged(jsonify(dict(movies.get(connection, key))))

    @routes.put("/<movie_id>")
    def change_movie(movie_id: str) -> Response:
        key = parsing.identifier(movie_id, BIGINT)
        change = parsing.body(MovieChange).given
        check = etag.check()
        with database.transaction() as connection:
            movie = movies.change(connection, key, change, check)
        return tagged(jsonify(dict(movie)))

    @routes.delete("/<movie_id>")
    def delete_movie(movie_id: str) -> Response:
        key = parsing.identifier(movie_id, BIGINT)
        check = etag.check()
        with database.transaction() as connection:
            movie = movies.remove(connection, key, check)
        return jsonify(dict(movie))

    return routes
