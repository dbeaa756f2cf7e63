"""inventory's `/api/movies`."""

from flask.testing import FlaskClient


def test_a_created_movie_can_be_read_where_its_location_says(inventory: FlaskClient) -> None:
    created = inventory.post("/api/movies", json={"title": "The Matrix"})
    assert created.status_code == 201
    movie = inventory.get(created.headers["Location"]).json
    assert movie == {"id": 1, "title": "The Matrix", "description": None}
