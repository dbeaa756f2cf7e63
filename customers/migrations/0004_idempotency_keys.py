"""The answers to requests with an Idempotency-Key are stored.

Revision ID: customers_0004
"""

from alembic import op

from chassis.storage.migrations import tables

revision = "customers_0004"
down_revision = "customers_0003"


def upgrade() -> None:
    """Create the table of keys."""
    tables.create_idempotency_keys()


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE idempotency_keys")
