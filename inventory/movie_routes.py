"""`/api/movies`."""

from flask import Blueprint, Response, jsonify

from chassis.http import etag
from chassis.http import request as parsing
from chassis.http.resource_routes import Requests, resource_routes
from chassis.schema.fields import Schema
from chassis.storage.database import Database
from inventory import caching, movies
from inventory.schemas import MovieChange, MovieQuery, NewMovie


def movie_routes(database: Database) -> Blueprint:
    """Return the routes of movies."""
    requests = Requests("movie", MovieQuery, NewMovie, MovieChange)
    routes = resource_routes("movies", database, movies, requests)

    @routes.delete("")
    def delete_movies() -> Response:
        parsing.query(Schema)
        etag.refuse_conditions()
        return jsonify(deleted=movies.clear(database))

    return caching.allow(routes, caching.MOVIES_SECONDS)
