"""Inventory's tables."""

from sqlalchemy import BIGINT, Identity, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of `movies_db`."""


class Movie(Base):
    """A movie."""

    __tablename__ = "movies"

    id: Mapped[int] = mapped_column(BIGINT, Identity(), primary_key=True)
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
