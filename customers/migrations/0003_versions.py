"""Customers have a version, so that a replica can tell newer events from older ones.

Revision ID: customers_0003
"""

from alembic import op

revision = "customers_0003"
down_revision = "customers_0002"


def upgrade() -> None:
    """Add the version."""
    op.execute("ALTER TABLE customers ADD COLUMN version bigint NOT NULL DEFAULT 1")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE customers DROP COLUMN version")
