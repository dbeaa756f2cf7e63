"""An inventory as most tutorials write it, for Flask's development server.

It opens an ORM session for each request, and reads the rows of the platform's own inventory.
"""

import os

from flask import Flask, Response, jsonify
from sqlalchemy import BigInteger, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Flask(__name__)
engine = create_engine(os.environ["DATABASE_URL"])


class Base(DeclarativeBase):
    """The tables."""


class Movie(Base):
    """A movie."""

    __tablename__ = "movies"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    title: Mapped[str]
    description: Mapped[str | None]


@app.route("/api/movies/<int:movie_id>")
def movie(movie_id: int) -> tuple[Response, int]:
    """Read one movie."""
    with Session(engine) as session:
        found = session.get(Movie, movie_id)
        if found is None:
            return jsonify(error="Movie not found"), 404
        return jsonify(id=found.id, title=found.title, description=found.description), 200
