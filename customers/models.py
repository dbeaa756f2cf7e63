"""The tables of customers."""

from sqlalchemy import BIGINT, Column, Identity, MetaData, String, Table

metadata = MetaData()

customers = Table(
    "customers",
    metadata,
    Column("id", BIGINT, Identity(), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("email", String(254), nullable=False),
    Column("company", String(255)),
    Column("phone", String(32)),
    Column("version", BIGINT, nullable=False, server_default="1"),
)
"""A customer; `version` counts its changes, from 1 upwards."""
