"""The tables of customers."""

from sqlalchemy import BIGINT, Identity, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of `customers_db`."""


class Customer(Base):
    """A customer; `version` counts its changes, from 1 upwards."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(BIGINT, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    email: Mapped[str] = mapped_column(String(254))
    company: Mapped[str | None] = mapped_column(String(255))
    phone: Mapped[str | None] = mapped_column(String(32))
    version: Mapped[int] = mapped_column(BIGINT, server_default="1")
