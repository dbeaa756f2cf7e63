"""Helpers for the tests of movies, and of products that are their editions."""

import string
from typing import Any

from flask.testing import FlaskClient
from hypothesis import strategies as st

from tests.support.answers import content

MOVIES = "/api/movies"
SIGNS = st.text(alphabet=string.ascii_letters[:3] + "AB%_\\/' .*+?[]^$", min_size=1, max_size=8)


def create(inventory: FlaskClient, title: str, description: str | None = None) -> dict[str, Any]:
    """Create a movie."""
    response = inventory.post(MOVIES, json={"title": title, "description": description})
    assert response.status_code == 201
    movie: dict[str, Any] = content(response)
    return movie
